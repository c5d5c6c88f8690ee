/** Times as Docker's client prints them. */

/** Go's time.Time.String in the local zone: `2026-11-23 20:31:14 +0000 UTC`. */
export function goTimeText(unixSeconds: number): string {
  const time = new Date(unixSeconds * 1000);
  return `${dateAndTime(time, ' ')} ${zoneOffset(time, '')} ${zoneName(time)}`;
}

/** RFC 3339 in the local zone: `2026-11-23T20:31:14Z`. */
export function rfc3339(unixSeconds: number): string {
  const time = new Date(unixSeconds * 1000);
  const offset = zoneOffset(time, ':');
  return `${dateAndTime(time, 'T')}${offset === '+00:00' ? 'Z' : offset}`;
}

/** RFC 3339 with all nine decimals, in the local zone: `2026-11-23T20:31:14.000000001Z`. */
export function rfc3339Nano(unixNanoseconds: bigint): string {
  const seconds = unixNanoseconds / 1_000_000_000n;
  const text = rfc3339(Number(seconds));
  return `${text.slice(0, 19)}.${String(unixNanoseconds % 1_000_000_000n).padStart(9, '0')}${text.slice(19)}`;
}

function dateAndTime(time: Date, separator: string): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${date}${separator}${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

function zoneOffset(time: Date, separator: string): string {
  const minutes = -time.getTimezoneOffset();
  const absolute = Math.abs(minutes);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(Math.trunc(absolute / 60))}${separator}${two(absolute % 60)}`;
}

function zoneName(time: Date): string {
  if (time.getTimezoneOffset() === 0) return 'UTC';
  const parts = new Intl.DateTimeFormat('en', { timeZoneName: 'short' }).formatToParts(time);
  return parts.find((part) => part.type === 'timeZoneName')?.value ?? '';
}

/** Go's time.Time.String of a time that came as RFC 3339, in its own zone: `2026-11-23 20:31:14.5 +0000 UTC`. */
export function goTimeTextOf(rfc3339Text: string): string {
  const match = /^([0-9-]+)T([0-9:]+)(\.[0-9]+)?(?:(Z)|([+-][0-9]{2}):([0-9]{2}))$/.exec(rfc3339Text);
  if (match === null) return rfc3339Text;
  const [, date, time, fraction = '', utc, hours, minutes] = match;
  const zone = utc === undefined ? `${hours}${minutes} ${hours}${minutes}` : '+0000 UTC';
  return `${date} ${time}${fraction.replace(/\.?0+$/, '')} ${zone}`;
}
