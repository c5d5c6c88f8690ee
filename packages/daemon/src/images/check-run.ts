/** A system check under way: what it has found, and what it tells. */
import type { CheckMessage, CheckProblem, CheckSummary } from '@tsd/shared/api-system-check';

export interface CheckRunOptions {
  readonly repair: boolean;
  /** Ends the check; what is being repaired is left as before, or marked broken. */
  readonly signal: AbortSignal;
  readonly emit: (message: CheckMessage) => void;
}

const PROGRESS_INTERVAL_MS = 200;

export class CheckRun {
  readonly repair: boolean;
  readonly signal: AbortSignal;
  /** Why images cannot be used, as far as this check has seen. */
  readonly faultyImages = new Map<string, string>();
  /** Images that this check has marked as broken, for as long as it takes to mend them. */
  readonly markedImages = new Set<string>();
  /** Layers that are right now. */
  readonly soundLayers = new Set<string>();
  private readonly emit: (message: CheckMessage) => void;
  private readonly startedMs = performance.now();
  private lastProgressMs = 0;
  private items = 0;
  private totalItems = 0;
  private sizeBytes = 0;
  private totalSizeBytes = 0;
  private problems = 0;
  private repaired = 0;

  constructor({ repair, signal, emit }: CheckRunOptions) {
    this.repair = repair;
    this.signal = signal;
    this.emit = emit;
  }

  /** What there is to read, as far as it is known before. */
  expect(totals: { readonly items: number; readonly sizeBytes: number }): void {
    this.totalItems = totals.items;
    this.totalSizeBytes = totals.sizeBytes;
    this.progress(true);
  }

  read(bytes: number): void {
    this.sizeBytes += bytes;
    this.progress(false);
  }

  finished(): void {
    this.items += 1;
    this.progress(this.items === this.totalItems);
  }

  /** `outcome` is told when the check repairs: whether it did, and how or why not. */
  problem(
    found: Pick<CheckProblem, 'kind' | 'id' | 'problem'>,
    outcome: { repaired: boolean; remedy: string } | null,
  ): void {
    this.problems += 1;
    if (outcome?.repaired === true) this.repaired += 1;
    this.emit({ ...found, ...outcome });
  }

  summary(counts: Pick<CheckSummary['summary'], 'images' | 'layers' | 'blobs' | 'brokenImages'>): void {
    const { sizeBytes, problems, repaired } = this;
    const durationMs = Math.round(performance.now() - this.startedMs);
    this.emit({ summary: { ...counts, sizeBytes, problems, repaired, durationMs } });
  }

  private progress(now: boolean): void {
    const nowMs = performance.now();
    if (!now && nowMs - this.lastProgressMs < PROGRESS_INTERVAL_MS) return;
    this.lastProgressMs = nowMs;
    const { items, totalItems, sizeBytes, totalSizeBytes } = this;
    this.emit({ checked: { items, totalItems, sizeBytes, totalSizeBytes } });
  }
}

/** How a repair went, for `CheckRun.problem`. */
export const mended = (remedy: string): { repaired: boolean; remedy: string } => ({ repaired: true, remedy });
export const unmended = (remedy: string): { repaired: boolean; remedy: string } => ({ repaired: false, remedy });
