/** The slips that `npm run mutants` puts into the built code: real ones, each with the tests of which one must fail. Pure. */
import { model, session, slips, store, turn, workspace, type Mutant } from './slip.js';
import { FRONT, IDENTITY, POLICY } from './who-may.js';

const STORE: readonly Mutant[] = [
  ...slips(
    'workers/agent/store/history-codec.js',
    store('history-codec'),
    ['if (found !== said)', 'if (false)'],
    ['content.length === EMPTY_LIST_BYTES', 'false'],
    ['written > 0 && written < content.length', 'written > 0'],
    ['crc32(block.subarray(HEADER_BYTES), crc32(block.subarray(0, 8)))', 'crc32(block.subarray(HEADER_BYTES))'],
  ),
  ...slips(
    'workers/agent/store/history-tail.js',
    store('history-tail', 'lmdb-store'),
    ['return tailBytes >= SEAL_BYTES', 'return tailBytes > 100 * SEAL_BYTES'],
    ['bytes > 0 && bytes + length > LARGE_BYTES', 'bytes > 0 && length > LARGE_BYTES'],
  ),
  ...slips(
    'workers/agent/store/lmdb-store.js',
    store('lmdb-store'),
    ['first.seq !== row.seq + 1', 'first.seq <= row.seq'],
    ["throw conflict(session, 'belongs to another server');", 'void 0;'],
    ['row.lastActiveAt >= (row.openTurns.length > 0 ? openBefore : before)', 'row.lastActiveAt >= before'],
    ['row === undefined || row.generation !== before.generation', 'row === undefined'],
    ['places.length > page.limit', 'places.length >= page.limit'],
    ['start: [session, after + 1]', 'start: [session, after]'],
    ['row?.due === undefined || row.owner !== this.#options.owner', 'row?.due === undefined'],
  ),
  ...slips('workers/agent/store/lmdb-rows.js', store('lmdb-store'), ['if (row.ids <= max)', 'if (row.ids < max)']),
  ...slips(
    'workers/agent/store/lmdb-quotas.js',
    store('lmdb-store'),
    ['wanted > maxTurns', 'wanted >= maxTurns'],
    ['used + bytes > maxHistoryBytes', 'used > maxHistoryBytes'],
    ['slice(-maxSent)', 'slice(0, maxSent)'],
    ['delete counts.turns[row.session]', 'void 0'],
  ),
  ...slips(
    'workers/agent/store/lmdb-log.js',
    store('lmdb-store'),
    ['newest - seq >= limits.maxEvents', 'newest - seq > limits.maxEvents'],
    ['seq < newest && bytes > limits.maxBytes', 'bytes > limits.maxBytes'],
  ),
  ...slips(
    'workers/agent/store/redis-replies.js',
    store('redis-replies'),
    ['tries > 1 || error.message !== QUEUE_FULL', 'true'],
    ['TRANSIENT.has(word) || LOCKED.has(word)', 'TRANSIENT.has(word)'],
  ),
];

const TURN: readonly Mutant[] = [
  ...slips(
    'workers/agent/turn/turn-loop.js',
    [...turn('turn-loop', 'turn-cancel', 'tool-calls'), ...session('session-recovery')],
    ['progress.rounds >= maxRounds', 'progress.rounds > maxRounds'],
    ['blocks: progress.blocks + answer.content.length', 'blocks: answer.content.length'],
    ['usage: addUsage(progress.usage, bill.usage)', 'usage: bill.usage'],
    ['uses.findIndex((other) => other.id === use.id) === index', 'true'],
    ['wantsTools ? answer.content : answer.content.filter((block) => !isToolUse(block))', 'answer.content'],
  ),
  ...slips(
    'workers/agent/turn/tool-calls.js',
    [...turn('tool-calls', 'turn-loop', 'turn-cancel'), ...session('approvals')],
    ['brokenInputs.has(use.id) ? undefined : args', 'args'],
    ['position: ++position', 'position: position++'],
    ['offsets[stream] += text.length', 'offsets[stream] += 1'],
    ['if (!open)', 'if (false)'],
    ['call.edited ? { ...kept, content: [edited, ...content] } : kept', 'kept'],
    ['ok: result.isError !== true', 'ok: true'],
  ),
  ...slips(
    'workers/agent/turn/questions.js',
    [...turn('questions', 'input-rounds'), ...session('sampling')],
    ['signal.aborted || JSON.stringify(question).length > MAX_BYTES', 'signal.aborted'],
    ['open.length >= MAX_OPEN', 'open.length > MAX_OPEN'],
    ["action !== 'accept' || !question?.schema", '!question?.schema'],
    ["question?.of && reason === 'interrupted'", 'question?.of'],
  ),
  ...slips('workers/agent/turn/forms.js', turn('forms', 'questions'), [
    'value === undefined || Object.hasOwn(content, name)',
    'value === undefined',
  ]),
  ...slips(
    'workers/agent/turn/live-text.js',
    turn('live-text', 'turn-cancel'),
    ["live.kind === 'text' && live.text.trim() !== ''", "live.kind === 'text'"],
    ['const offset = live.text.length;', 'const offset = 0;'],
  ),
  ...slips(
    'workers/agent/session/open-calls.js',
    [...session('approvals', 'session-recovery', 'session-end'), ...turn('input-rounds')],
    ['call.expiresAt <= now', 'call.expiresAt < now - 60_000'],
    ['crashed && !waitsForInput(call)', 'crashed'],
  ),
];

const MODEL: readonly Mutant[] = [
  ...slips(
    'workers/agent/model/answer-builder.js',
    [...model('answer-stream'), ...turn('other-models')],
    ["this.#blocks.some(({ block }) => block.type === 'tool_use')", "this.#stopReason === 'tool_use'"],
    ["`toolu_${randomBytes(12).toString('hex')}`", "stringOf(start['id'])"],
    ['ended && this.#blocks.length > 0', 'this.#blocks.length > 0'],
    ['this.#blocks.every(({ isClosed }) => isClosed)', 'true'],
    ['this.#stopReason !== undefined)', 'false)'],
  ),
  ...slips(
    'workers/agent/model/answer-stream.js',
    model('answer-stream', 'retries'),
    ['byte === LF && this.#endsWithCR', 'byte === LF && false'],
    ['return { done: false, value: EVENT_END };', 'return { done: true, value: undefined };'],
    ['this.#bytes > maxBytes', 'false'],
    ["typeof json['type'] === 'string' ? json['type'] : event", 'event'],
  ),
  ...slips(
    'workers/agent/model/retries.js',
    model('retries', 'anthropic-failures'),
    ['++this.#failures > this.#max', 'false'],
    ['error.retryAfterMs ?? ', ''],
    ['waitMs >= this.leftMs', 'false'],
  ),
  ...slips('workers/agent/model/ask-again.js', model('retries', 'anthropic-failures'), ['if (isShown)', 'if (false)']),
  ...slips(
    'src/shared/config-model.js',
    ['src/shared/config-model.test.js', ...model('model-access')],
    ["apiKey !== '' && isGateway", "apiKey !== ''"],
    ["url.username !== '' || url.password !== ''", 'false'],
  ),
  ...slips(
    'workers/agent/http/proxy-route.js',
    ['workers/agent/http/proxy-route.test.js'],
    ["url.protocol === 'https:' ?", 'true ?'],
    ['of addresses)', 'of addresses.slice(0, 1))'],
    ['await atMost(RESOLVE_MS, resolving)', 'await resolving'],
  ),
];

const LONG: readonly Mutant[] = [
  ...slips(
    'workers/agent/model/context.js',
    model('context', 'ask-again'),
    ['trimUntil(newest);', ''],
    ['trimUntil(transcript.findLastIndex(holdsResult));', ''],
    ['budgetTokens * KEPT_OF_EARLIER', '0'],
    ['part.from > 0 ?', 'false ?'],
    ['Math.min(historyTokens, takes * ROOM)', 'historyTokens'],
  ),
  ...slips(
    'workers/agent/mcp/calls/bound-content.js',
    ['workers/agent/mcp/calls/bound-content.test.js'],
    ['if (size > share)', 'if (size > total / sizes.length)'],
    ['leftOut.size > 0 ? fairShare(kept.map(sizeOf), maxBytes) : share', 'share'],
    ['...bounded.slice(-LAST_BLOCKS)', ''],
  ),
  ...slips(
    'src/shared/terminal-screen.js',
    ['src/shared/terminal-screen.test.js'],
    ['this.#begun + given', 'given'],
    ['Math.max(this.#base, this.#cursor.row + rows)', 'Math.max(0, this.#cursor.row + rows)'],
    ['if (this.#row.length > MAX_COLUMNS)', 'if (false)'],
  ),
];

const WORKSPACE: readonly Mutant[] = [
  ...slips(
    'workers/workspace/replace.js',
    workspace('replace', 'write'),
    ['!splitsPair(text, start) && !splitsPair(text, end)', 'true'],
    ['pairs[passed] < at', 'pairs[passed] <= at'],
    ['replacement.replaceAll(/\\r?\\n/g, lineEnd)', 'replacement'],
  ),
  ...slips(
    'workers/workspace/names.js',
    workspace('names'),
    ['!AMBIGUOUS.test(text) && ', ''],
    ['isUtf8(bytes) ? ', 'true ? '],
  ),
  ...slips(
    'workers/workspace/paths.js',
    workspace('paths', 'swapped-paths', 'write', 'list', 'read', 'names'),
    ['path.startsWith(root.endsWith(sep) ? root : root + sep)', 'path.startsWith(root)'],
    ['flags | constants.O_NOFOLLOW | constants.O_NONBLOCK', 'flags | constants.O_NONBLOCK'],
    ['flags | constants.O_NOFOLLOW | constants.O_NONBLOCK', 'flags | constants.O_NOFOLLOW'],
    ['!this.contains(await readlink(toBytes(`/proc/self/fd/${handle.fd}`)))', 'false'],
    ['if (!this.contains(real))', 'if (false)'],
    ["path.includes('\\0')", 'false'],
    ['if (await isThere(at))', 'if (false)'],
    ['path.length > MAX_PATH', 'path.length > 2 * MAX_PATH'],
    ['if (!stats.isFile())', 'if (stats.isSocket())'],
  ),
];

export const MUTANTS: readonly Mutant[] = [
  ...IDENTITY,
  ...FRONT,
  ...POLICY,
  ...STORE,
  ...TURN,
  ...MODEL,
  ...LONG,
  ...WORKSPACE,
];
