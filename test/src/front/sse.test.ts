import pino from 'pino';
import t from 'tap';
import { Exchange, type ResponseSocket } from '../../../src/front/http.js';
import { EventStream, Heartbeats } from '../../../src/front/sse.js';
import type { OutFrame } from '../../../workers/agent/contract/sessions.js';
import { deferred } from '../../helpers/processes.js';
import { HEAD } from './front-fixture.js';

/** Another library's response behind the front's small interface: its reader takes what the test lets it. */
class ManualResponse implements ResponseSocket {
  readonly chunks: string[] = [];
  takes = true;
  ended = false;
  writable: (offset: number) => boolean = () => true;
  onChunk: () => void = () => undefined;
  writeStatus(): void {}
  writeHeader(): void {}
  write(chunk: string): boolean {
    this.chunks.push(chunk);
    this.onChunk();
    return this.takes;
  }
  tryEnd(): [boolean, boolean] {
    return [true, true];
  }
  getWriteOffset(): number {
    return 0;
  }
  end(): void {
    this.ended = true;
  }
  endWithoutBody(): void {}
  close(): void {}
  onWritable(handler: (offset: number) => boolean): void {
    this.writable = handler;
  }
  onAborted(): void {}
  onData(): void {}
  pause(): void {}
  resume(): void {}
  cork(write: () => void): void {
    write();
  }
}

const CAUGHT_UP = { seq: 0, type: 'text:delta', json: '{"type":"text:delta","text":"whole"}' };

function start(
  heartbeats: Heartbeats,
  catchUp = async (): Promise<OutFrame[]> => [CAUGHT_UP],
): { response: ManualResponse; stream: EventStream } {
  const response = new ManualResponse();
  const exchange = new Exchange(response, HEAD, pino({ level: 'silent' }));
  const options = { heartbeats, maxUnsentBytes: 1_000, catchUp };
  return { response, stream: new EventStream(exchange, options) };
}

t.test('all streams share one heartbeat, and the last that ends takes it away', async (t) => {
  const heartbeats = new Heartbeats(5);
  const first = start(heartbeats);
  const second = start(heartbeats);
  t.notOk(heartbeats.idle);
  await Promise.all(
    [first, second].map(
      ({ response }) =>
        new Promise<void>((resolve) => {
          response.onChunk = resolve;
        }),
    ),
  );
  t.equal(first.response.chunks[0], ':\n\n');
  first.stream.end();
  t.notOk(heartbeats.idle);
  second.stream.end();
  t.ok(heartbeats.idle);
  t.ok(second.response.ended);
});

t.test(
  'while the reader is behind, durable events queue and streaming ones are skipped and come whole later',
  async (t) => {
    const heartbeats = new Heartbeats();
    const { response, stream } = start(heartbeats);
    t.teardown(() => stream.end());
    response.takes = false;
    stream.send([{ seq: 1, type: 'turn:start', json: '{"type":"turn:start","seq":1}' }]);
    stream.send([
      { seq: 0, type: 'text:delta', json: '{"type":"text:delta","text":"skipped"}' },
      { seq: 2, type: 'text', json: '{"type":"text","seq":2}' },
    ]);
    stream.heartbeat();
    t.equal(response.chunks.length, 1);
    response.takes = true;
    const caughtUp = new Promise<void>((resolve) => {
      response.onChunk = () => {
        if (response.chunks.some((chunk) => chunk.includes('whole'))) resolve();
      };
    });
    response.writable(0);
    await caughtUp;
    t.strictSame(response.chunks, [
      'id: 1\nevent: turn:start\ndata: {"type":"turn:start","seq":1}\n\n',
      'id: 2\nevent: text\ndata: {"type":"text","seq":2}\n\n',
      'event: text:delta\ndata: {"type":"text:delta","text":"whole"}\n\n',
    ]);
  },
);

t.test(
  'a reader that catches up asks for the streaming blocks once, and gets no piece before they are there',
  async (t) => {
    const heartbeats = new Heartbeats();
    const answer = deferred<OutFrame[]>();
    let asked = 0;
    const { response, stream } = start(heartbeats, () => (asked++, answer.promise));
    t.teardown(() => stream.end());
    const piece: OutFrame = { seq: 0, type: 'text:delta', json: '{"type":"text:delta","text":"piece"}' };
    response.takes = false;
    stream.send([{ seq: 1, type: 'turn:start', json: '{"type":"turn:start","seq":1}' }]);
    stream.send([piece]);
    response.takes = true;
    response.writable(0);
    stream.send([piece]);
    response.writable(0);
    t.equal(asked, 1);
    answer.resolve([CAUGHT_UP]);
    await new Promise(setImmediate);
    stream.send([piece]);
    t.strictSame(
      response.chunks.map((chunk) => /event: (.*)\ndata: .*?(piece|whole|1)"?\}/.exec(chunk)?.slice(1)),
      [
        ['turn:start', '1'],
        ['text:delta', 'whole'],
        ['text:delta', 'piece'],
      ],
    );
  },
);
