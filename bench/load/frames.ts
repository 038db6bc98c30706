/** WebSocket frames by hand (RFC 6455): makes a client's frames, and counts a server's frames without keeping them. */
import { randomBytes } from 'node:crypto';

const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const FINAL = 0x80;
const MASKED = 0x80;
/** The largest length that fits two bytes. */
const MAX_PAYLOAD = 65_535;

/** `times` masked text frames in one buffer, which can be written any number of times. */
export function textFrames(payload: string, times = 1): Buffer {
  const frame = clientFrame(TEXT, Buffer.from(payload));
  return Buffer.concat(Array.from({ length: times }, () => frame));
}

function clientFrame(opcode: number, payload: Buffer): Buffer {
  const mask = randomBytes(4);
  const head =
    payload.length < 126 ? Buffer.of(FINAL | opcode, MASKED | payload.length) : longHead(opcode, payload.length);
  const masked = payload.map((byte, index) => byte ^ mask[index % 4]!);
  return Buffer.concat([head, mask, masked]);
}

function longHead(opcode: number, length: number): Buffer {
  if (length > MAX_PAYLOAD) throw new Error(`a load frame has at most ${MAX_PAYLOAD} bytes`);
  const head = Buffer.of(FINAL | opcode, MASKED | 126, 0, 0);
  head.writeUInt16BE(length, 2);
  return head;
}

/** The result of one read; one object for all sockets of a thread. */
export class Tally {
  frames = 0;
  readonly marks: number[] = [];
  pongs: Buffer[] = [];
  /** The server's close frame, as text. */
  closed: string | undefined;

  reset(marks: number): void {
    this.frames = 0;
    this.marks.length = marks;
    this.marks.fill(0);
    if (this.pongs.length > 0) this.pongs = [];
    this.closed = undefined;
  }
}

/** The state of one socket: two fields. */
export class FrameReader {
  /** Missing payload bytes of the frame in which the last chunk ended. */
  #skip = 0;
  /** The beginning of a frame whose header is incomplete. */
  #rest: Buffer | undefined;

  /** `longest`: length of the longest mark, in bytes. */
  read(chunk: Buffer, marks: readonly Buffer[], longest: number, tally: Tally): void {
    let bytes = chunk;
    if (this.#rest !== undefined) {
      bytes = Buffer.concat([this.#rest, chunk]);
      this.#rest = undefined;
    }
    const end = bytes.length;
    let at = Math.min(this.#skip, end);
    if (this.#skip > 0) {
      this.#skip -= at;
      if (this.#skip > 0) return;
      tally.frames++;
    }
    while (at < end) {
      const left = end - at;
      const short = left < 2 ? 0 : bytes[at + 1]! & 0x7f;
      const head = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (left < head) return this.#keep(bytes, at);
      const length = short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? longLength(bytes, at) : short;
      const opcode = bytes[at]! & 0x0f;
      const isControl = opcode >= CLOSE;
      if (left < head + (isControl ? length : Math.min(length, longest))) return this.#keep(bytes, at);
      const from = at + head;
      at = from + length;
      if (isControl) {
        control(opcode, bytes.subarray(from, at), tally);
        continue;
      }
      for (let index = 0; index < marks.length; index++) {
        if (begins(bytes, from, length, marks[index]!)) tally.marks[index]!++;
      }
      if (at <= end) tally.frames++;
      else this.#skip = at - end;
    }
  }

  /** A copy, since the thread's buffer is reused. */
  #keep(bytes: Buffer, at: number): void {
    this.#rest = Buffer.from(bytes.subarray(at));
  }
}

function longLength(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64BE(at + 2));
}

function control(opcode: number, payload: Buffer, tally: Tally): void {
  if (opcode === PING) tally.pongs.push(clientFrame(PONG, Buffer.from(payload)));
  if (opcode !== CLOSE) return;
  const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
  tally.closed = `${code} ${payload.subarray(2).toString()}`.trim();
}

/** Compares from the mark's end, since all events begin alike. */
function begins(bytes: Buffer, from: number, length: number, mark: Buffer): boolean {
  if (length < mark.length) return false;
  for (let index = mark.length - 1; index >= 0; index--) if (bytes[from + index] !== mark[index]) return false;
  return true;
}
