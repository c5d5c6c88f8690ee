/**
 * Bytes from a worker thread to the daemon through shared memory: a ring of slots, filled by the one and given back by the
 * other. The thread works synchronously and sleeps while no slot is free, so a slow reader slows it down.
 */
import { WalkCancelled } from './walk-budget.ts';

export const SLOT_BYTES = 512 * 1024;
export const SLOTS = 4;

/** What both sides share. `states` has one word for each slot (0: free, 1: full), and a last one: 1 once nobody reads. */
export interface ByteSlots {
  readonly memory: SharedArrayBuffer;
  readonly states: SharedArrayBuffer;
}

const FREE = 0;
const FULL = 1;

export function createByteSlots(): ByteSlots {
  return {
    memory: new SharedArrayBuffer(SLOTS * SLOT_BYTES),
    states: new SharedArrayBuffer((SLOTS + 1) * Int32Array.BYTES_PER_ELEMENT),
  };
}

/** The daemon's side. */
export class SlotReader {
  private readonly memory: SharedArrayBuffer;
  private readonly states: Int32Array;

  constructor({ memory, states }: ByteSlots) {
    this.memory = memory;
    this.states = new Int32Array(states);
  }

  /** The slot's bytes, valid until it is given back. */
  piece(slot: number, length: number): Buffer {
    return Buffer.from(this.memory, slot * SLOT_BYTES, length);
  }

  giveBack(slot: number): void {
    Atomics.store(this.states, slot, FREE);
    Atomics.notify(this.states, slot);
  }

  /** Ends the writer's work, also where it sleeps. */
  cancel(): void {
    Atomics.store(this.states, SLOTS, 1);
    for (let slot = 0; slot < SLOTS; slot++) this.giveBack(slot);
  }
}

/** The thread's side. */
export class SlotWriter {
  private readonly memory: SharedArrayBuffer;
  private readonly states: Int32Array;
  private readonly send: (slot: number, length: number) => void;
  private slot = 0;
  private filled = 0;

  /** @param send tells the reader of a full slot */
  constructor({ memory, states }: ByteSlots, send: (slot: number, length: number) => void) {
    this.memory = memory;
    this.states = new Int32Array(states);
    this.send = send;
  }

  get isCancelled(): boolean {
    return Atomics.load(this.states, SLOTS) !== 0;
  }

  write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const room = this.reserve(bytes.length - done);
      room.set(bytes.subarray(done, done + room.length));
      this.commit(room.length);
      done += room.length;
    }
  }

  zeros(length: number): void {
    for (let left = length; left > 0; ) {
      const room = this.reserve(left);
      room.fill(0);
      this.commit(room.length);
      left -= room.length;
    }
  }

  /** Memory for the next bytes, between one and `maxBytes` of them. Sleeps until there is some. @throws WalkCancelled */
  reserve(maxBytes: number): Buffer {
    if (this.filled === 0) {
      while (!this.isCancelled && Atomics.load(this.states, this.slot) === FULL)
        Atomics.wait(this.states, this.slot, FULL);
      if (this.isCancelled) throw new WalkCancelled();
    }
    const length = Math.min(maxBytes, SLOT_BYTES - this.filled);
    return Buffer.from(this.memory, this.slot * SLOT_BYTES + this.filled, length);
  }

  /** Takes the first `length` bytes of what was reserved. */
  commit(length: number): void {
    this.filled += length;
    if (this.filled === SLOT_BYTES) this.flush();
  }

  /** Sends what there is. */
  flush(): void {
    if (this.filled === 0) return;
    Atomics.store(this.states, this.slot, FULL);
    this.send(this.slot, this.filled);
    this.slot = (this.slot + 1) % SLOTS;
    this.filled = 0;
  }
}
