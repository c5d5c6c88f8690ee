/** The daemon's table in the kernel: what should be in it, and the transactions that bring it there. */
import { isDeepStrictEqual } from 'node:util';
import { type Nftables, NftablesError } from '../../os/libnftables.ts';
import { layFrame, type TableFrame } from './table-frame.ts';
import { addParts, changePart, EMPTY_PART, type TablePart } from './table-part.ts';

/** Changes of the daemon's own that come between two listings. */
const LISTING_TRIES = 5;

export interface LaidTable {
  /** What the parts should be; those of changes that are under way are not among them. */
  readonly parts: ReadonlyMap<string, TablePart>;
  /** Puts a part in the place of the one with this key; null removes it. Throws what nft says; then nothing has changed. */
  change(key: string, part: TablePart | null): Promise<void>;
  /** Runs commands of which the parts know nothing. */
  run(commands: string): Promise<void>;
  /** Lays the table down anew with these parts, null for those that it should have now, and the commands after them. */
  lay(parts: ReadonlyMap<string, TablePart> | null, commands: () => string): Promise<void>;
  /**
   * Whether the kernel has the table as it was laid down: each chain the very rules, each set that only the daemon fills as many
   * elements. True while it changes all the time.
   */
  isIntact(): Promise<boolean>;
  /** Resolves when nothing is under way. */
  settled(): Promise<void>;
}

interface Job {
  /** Returns the commands and makes their changes in the draft. */
  readonly prepare: (draft: Map<string, TablePart>) => string;
  /** All chains are new afterwards. */
  readonly laysAll: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export function createLaidTable(nft: Nftables, table: string, frame: TableFrame): LaidTable {
  let parts = new Map<string, TablePart>();
  /** The rules by chain as the kernel listed them when they were laid down. */
  let laidRules: ReadonlyMap<string, readonly string[]> = new Map();
  let waiting: Job[] = [];
  let working: Promise<void> | null = null;

  const runTogether = async (jobs: readonly Job[]): Promise<void> => {
    const draft = new Map(parts);
    const commands = jobs.map((job) => job.prepare(draft)).filter((text) => text !== '');
    if (commands.length > 0) await nft.run(commands.join('\n'));
    const changed = changedChains(parts, draft);
    parts = draft;
    if (jobs.some(({ laysAll }) => laysAll))
      laidRules = listedRules(await nft.read(`list table inet ${table}`).catch(nothing));
    else if (changed.length > 0) {
      const chains = changed.map((name) => nft.read(`list chain inet ${table} ${name}`).catch(nothing));
      laidRules = new Map([...laidRules, ...listedRules((await Promise.all(chains)).flat())]);
    }
  };
  /** What waits goes in one transaction; where that fails, each goes alone, and only the one at fault fails. */
  const work = async (): Promise<void> => {
    while (waiting.length > 0) {
      const jobs = waiting;
      waiting = [];
      try {
        await runTogether(jobs);
        for (const { resolve } of jobs) resolve();
      } catch (error) {
        if (jobs.length === 1) jobs[0]?.reject(error);
        else for (const job of jobs) await runTogether([job]).then(job.resolve, job.reject);
      }
    }
    working = null;
  };
  const enqueue = (prepare: Job['prepare'], laysAll = false): Promise<void> => {
    return new Promise((resolve, reject) => {
      waiting.push({ prepare, laysAll, resolve, reject });
      working ??= work();
    });
  };

  return {
    get parts() {
      return parts;
    },
    change: (key, part) =>
      enqueue((draft) => {
        const before = draft.get(key) ?? EMPTY_PART;
        if (part === null) draft.delete(key);
        else draft.set(key, part);
        return changePart(table, before, part ?? EMPTY_PART);
      }),
    run: (commands) => enqueue(() => commands),
    lay: (laid, commands) =>
      enqueue((draft) => {
        if (laid !== null) {
          draft.clear();
          for (const [key, part] of laid) draft.set(key, part);
        }
        return [layFrame(table, frame), addParts(table, [...draft.values()]), commands()].join('\n');
      }, true),
    async isIntact() {
      for (let tries = 0; tries < LISTING_TRIES; tries += 1) {
        await working;
        const expected = parts;
        const listed = await nft.read(`list table inet ${table}`).catch(nothing);
        if (working !== null || parts !== expected) continue;
        const rules = listedRules(listed);
        return (
          isDeepStrictEqual(countListed(listed), countExpected(frame, [...parts.values()])) &&
          [...rules].every(([chain, texts]) => isDeepStrictEqual(texts, laidRules.get(chain)))
        );
      }
      return true;
    },
    async settled() {
      await working;
    },
  };
}

function nothing(error: unknown): [] {
  if (error instanceof NftablesError) return [];
  throw error;
}

/** Chains of parts that were made anew. */
function changedChains(before: ReadonlyMap<string, TablePart>, after: ReadonlyMap<string, TablePart>): string[] {
  return [...after].flatMap(([key, { chains }]) =>
    [...chains].flatMap(([name, rules]) => (isDeepStrictEqual(rules, before.get(key)?.chains.get(name)) ? [] : [name])),
  );
}

/** What each chain's rules do, without what they have counted. (A rule that is replaced keeps its number.) */
function listedRules(objects: readonly Readonly<Record<string, unknown>>[]): Map<string, string[]> {
  const rules = new Map<string, string[]>();
  for (const object of objects) {
    const rule = object['rule'] as { readonly chain: string; readonly expr: unknown } | undefined;
    if (rule === undefined) continue;
    const text = JSON.stringify(rule.expr, (key, value) => (key === 'counter' ? null : value));
    rules.set(rule.chain, [...(rules.get(rule.chain) ?? []), text]);
  }
  return rules;
}

/** How many rules each chain has, and how many elements each set that only the daemon fills. */
type Counts = ReadonlyMap<string, number>;

function countExpected(frame: TableFrame, parts: readonly TablePart[]): Counts {
  const counts = new Map<string, number>();
  const chains = [
    ...[...frame.chains].map(([name, { rules }]) => [name, rules.length] as const),
    ...parts.flatMap(({ chains }) => [...chains].map(([name, rules]) => [name, rules.length] as const)),
  ];
  for (const [name, count] of chains) if (count > 0) counts.set(`chain ${name}`, count);
  const elements = Map.groupBy(
    parts.flatMap((part) => part.elements),
    ({ set }) => set,
  );
  for (const [name, members] of elements) counts.set(`set ${name}`, members.length);
  return sorted(counts);
}

function countListed(objects: readonly Readonly<Record<string, unknown>>[]): Counts {
  const counts = new Map<string, number>();
  for (const object of objects) {
    const rule = object['rule'] as { chain: string } | undefined;
    if (rule !== undefined) counts.set(`chain ${rule.chain}`, (counts.get(`chain ${rule.chain}`) ?? 0) + 1);
    const set = (object['set'] ?? object['map']) as { name: string; flags?: string[]; elem?: unknown[] } | undefined;
    if (set?.elem === undefined || set.flags?.includes('timeout')) continue;
    counts.set(`set ${set.name}`, set.elem.length);
  }
  return sorted(counts);
}

function sorted(counts: ReadonlyMap<string, number>): Counts {
  return new Map([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}
