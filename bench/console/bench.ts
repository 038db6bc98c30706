/** The bench `console`: a real Chromium on the console's page, whose session is scripted: long, fast, and hostile. */
import { chromium, type Browser } from 'playwright-core';
import { startEngine } from '../../test/helpers/engine.js';
import { findProgram } from '../../test/helpers/programs.js';
import { ProtocolServer, Session } from '../../test/helpers/protocol-server.js';
import { orInterrupted, Parts } from '../shared/work.js';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';
import { findingsOf, type Held, type Measured } from './findings.js';
import { visitFirst, type FirstLoad } from './first-load.js';
import { Front } from './front.js';
import { MeasuredPage, type Recorded } from './page.js';
import { addTurn, OUTPUTS, printOutput, streamAnswer } from './script.js';

const HOST = 'app.localhost';
const WAIT_MS = 120_000;
const KEY_EVERY_MS = 100;
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
const FORMS = {
  short: { visits: 3, messages: 10_000, scrollMs: 4_000, perSecond: 2_000, streamMs: 5_000, turns: [100, 1_000] },
  full: {
    visits: 9,
    messages: 10_000,
    scrollMs: 20_000,
    perSecond: 2_000,
    streamMs: 20_000,
    turns: [100, 1_000, 5_000],
  },
};
type Form = (typeof FORMS)['short'];

export const bench: Bench = {
  name: 'console',
  question: 'Does the console stay quick: on the first visit, in a long conversation, under a fast answer?',
  run: async (context) => {
    const parts = new Parts();
    try {
      context.progress('starting the server and the browser', 0);
      return await orInterrupted(measure(await openWorld(parts), context), context.signal);
    } finally {
      context.progress('cleaning up');
      await parts.close();
    }
  },
};

interface World {
  url: string;
  browser: Browser;
  sessions: ProtocolServer['sessions'];
}

async function openWorld(parts: Parts): Promise<World> {
  const executablePath = findProgram('chromium');
  if (executablePath === undefined) throw new Error('the bench needs chromium');
  const starting = startEngine({
    config: { sandbox: { driver: 'process' }, listen: { hosts: [HOST] } },
    env: { DOCKER_HOST: '' },
  });
  const engine = await parts.open(starting, (server) => server.stop());
  const scripted = new ProtocolServer();
  await parts.open(scripted.listen(), () => scripted.close());
  const front = await parts.open(Front.start(engine.url, scripted.url), (server) => server.stop());
  const browser = await parts.open(chromium.launch({ executablePath, args: ARGS, timeout: WAIT_MS }), (open) =>
    open.close(),
  );
  return { url: front.urlFor(HOST), browser, sessions: scripted.sessions };
}

async function measure(world: World, context: BenchContext): Promise<Findings> {
  const form = context.full ? FORMS.full : FORMS.short;
  const visits: FirstLoad[] = [];
  for (let visit = 0; visit < form.visits; visit++) {
    context.progress('visiting for the first time', (0.2 * visit) / form.visits);
    visits.push(await visitFirst(world.browser, world.url, WAIT_MS));
  }
  const held: Held[] = [];
  for (const turns of form.turns) {
    context.progress(`holding ${turns} turns`, 0.3);
    held.push({ turns, ...(await hold(world, turns)) });
  }
  const long = await measureLong(world, form, context);
  return findingsOf({ visits, held, ...long }, { ...form, turns: form.turns.join(), keyEveryMs: KEY_EVERY_MS });
}

/** What a page holds after so many turns that it has seen one by one. */
async function hold(world: World, turns: number): Promise<{ heapBytes: number; elements: number; lost: number }> {
  const session = newSession(world, 1);
  const measured = await MeasuredPage.open(world.browser, WAIT_MS);
  try {
    await measured.openConversation(world.url, session.id, 'Answer 1.');
    while (session.turns < turns) {
      addTurn(session);
      // In step with the page, or the socket's buffer holds them all.
      if (session.turns % 50 === 0) await measured.untilShown(`Answer ${session.turns}.`);
    }
    await measured.untilShown(`Answer ${turns}.`);
    return { ...(await measured.held()), lost: measured.lost };
  } finally {
    await measured.close();
  }
}

async function measureLong(
  world: World,
  { messages, scrollMs, perSecond, streamMs }: Form,
  { progress, signal }: BenchContext,
): Promise<Omit<Measured, 'visits' | 'held'>> {
  progress(`opening ${messages} messages`, 0.5);
  const session = newSession(world, messages / 2);
  const measured = await MeasuredPage.open(world.browser, WAIT_MS);
  try {
    const openMs = await measured.openConversation(world.url, session.id, `Answer ${session.turns}.`);
    progress('typing', 0.55);
    const idle = await measured.record(() => measured.type(20, KEY_EVERY_MS));
    progress('reading an answer as it comes', 0.6);
    let lagMs = 0;
    const streaming = await measured.record(async () => {
      const typing = measured.type(Math.floor(streamMs / KEY_EVERY_MS / 2), KEY_EVERY_MS);
      await streamAnswer(session, { perSecond, ms: streamMs, last: 'These are the last words.', signal });
      const saidAt = performance.now();
      await measured.untilShown('These are the last words.');
      lagMs = performance.now() - saidAt;
      await typing;
    });
    const outputs: Record<string, Recorded> = {};
    for (const [name, output] of Object.entries(OUTPUTS)) {
      progress(`reading ${name}`, 0.75);
      outputs[name] = await measured.record(async () => {
        const typing = measured.type(10, KEY_EVERY_MS);
        await printOutput(session, output, `Ran ${name}.`, signal);
        await measured.untilShown(`Ran ${name}.`);
        await typing;
      });
    }
    progress('scrolling', 0.9);
    let pixels = 0;
    const scrolling = await measured.record(async () => {
      pixels = await measured.scrollUp(scrollMs, signal);
    });
    const { elements } = await measured.held();
    return { openMs, idle, streaming, lagMs, outputs, scrolling, pixels, elements, lost: measured.lost };
  } finally {
    await measured.close();
  }
}

function newSession({ sessions }: World, turns: number): Session {
  const session = new Session();
  sessions.set(session.id, session);
  for (let turn = 0; turn < turns; turn++) addTurn(session);
  return session;
}
