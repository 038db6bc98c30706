/** The slips that `npm run mutants` puts into the built code: real ones, each with the tests of which one must fail. Pure. */

export interface Mutant {
  /** Seen from dist. */
  file: string;
  /** Stands in the file exactly once. */
  find: string;
  replace: string;
  /** Unit tests, seen from dist/test. */
  tests: readonly string[];
}

type Slip = readonly [find: string, replace: string];

function slips(file: string, tests: readonly string[], ...edits: readonly Slip[]): Mutant[] {
  return edits.map(([find, replace]) => ({ file, find, replace, tests }));
}

const front = (...names: string[]): string[] => names.map((name) => `src/front/${name}.test.js`);
const store = (...names: string[]): string[] => names.map((name) => `workers/agent/store/${name}.test.js`);
const turn = (...names: string[]): string[] => names.map((name) => `workers/agent/turn/${name}.test.js`);
const session = (...names: string[]): string[] => names.map((name) => `workers/agent/session/${name}.test.js`);
const model = (...names: string[]): string[] => names.map((name) => `workers/agent/model/${name}.test.js`);
const workspace = (...names: string[]): string[] => names.map((name) => `workers/workspace/${name}.test.js`);

const IDENTITY: readonly Mutant[] = [
  ...slips(
    'src/front/oidc/jwt-people.js',
    front('oidc/jwt-people'),
    ["requiredClaims: ['exp'],", ''],
    ['audience: audiences,', ''],
    ['if (!TYPES.has(', 'if (false && !TYPES.has('],
    ["if (payload['cnf'] !== undefined)", 'if (false)'],
    ["if (payload['events'] !== undefined)", 'if (false)'],
    ['this.#kept.clear()', 'undefined'],
  ),
  ...slips(
    'src/front/oidc/claims.js',
    front('oidc/claims', 'oidc/jwt-people'),
    ['user === LOCAL_USER', 'false'],
    ["claims['email_verified'] !== true", "claims['email_verified'] === false"],
    ['groups.length > MAX_GROUPS', 'false'],
    ["if (has('admin'))", 'if (false)'],
  ),
  ...slips(
    'src/front/oidc/issuer-keys.js',
    front('oidc/jwt-people'),
    ['if (this.#since(this.#askedAt) < pauseMs)', 'if (false)'],
    ['if (text === this.#text)', 'if (true)'],
  ),
  ...slips('src/shared/issuer-jwks.js', front('oidc/jwt-people'), ['if (named !== from.issuer)', 'if (false)']),
  ...slips(
    'src/front/credential-ends.js',
    front('credential-ends'),
    ['if (expiresAt <= now)', 'if (expiresAt < now)'],
    ['else if (expiresAt < next)', 'else if (expiresAt > next)'],
  ),
  ...slips('src/front/newer-credential.js', front('newer-credential'), ['&& found.user === user', '']),
  ...slips('src/shared/person.js', front('router'), ['ROLES.indexOf(role) >= ROLES.indexOf(needed)', 'true']),
];

const FRONT: readonly Mutant[] = [
  ...slips(
    'src/front/origin.js',
    front('origin', 'http', 'connection', 'router'),
    ['hostOf(origin) === withoutDefaultPort(headers.host))', 'hostOf(origin) !== undefined)'],
    ['if (unknown)', 'if (false)'],
    ["noProxy !== undefined && proxiedBy !== ''", 'false'],
    ['withoutDefaultPort(new URL(origin).host)', 'new URL(origin).hostname'],
    ["if (origin === '' || !this.#isListed(origin))", "if (origin === '')"],
  ),
  ...slips(
    'src/front/browser/same-origin.js',
    front('browser/same-origin', 'browser/browsers'),
    ["fetchSite !== 'same-origin'", "fetchSite === 'cross-site'"],
    ['return protocol === own.protocol', 'return true'],
    ['protocols !== undefined ||', ''],
  ),
  ...slips(
    'src/front/browser/browsers.js',
    front('browser/browsers'),
    ['if (!trusted)', 'if (false)'],
    ['if (this.ended.has(kept.login))', 'if (false)'],
    ['login.endsAt <= now', 'false'],
    ['login.by.token === localToken', 'true'],
    ['login.by.issuer === issuer?.issuer', 'true'],
  ),
  ...slips(
    'src/front/browser/ended-logins.js',
    front('browser/ended-logins'),
    ['begun <= Number(ended.value)', 'true'],
    ['Number(known.value) > Number(value)', 'false'],
    ['(this.#ended.get(key)?.endsAt ?? 0) <= this.#now()', 'true'],
  ),
  ...slips(
    'src/front/browser/logout-token.js',
    front('browser/logout-token'),
    ['if (nonce !== undefined)', 'if (false)'],
    ['!isObject(events[EVENT])', 'false'],
    ['audience: clientId', 'audience: undefined'],
  ),
  ...slips(
    'src/front/browser/cookie-seal.js',
    front('browser/browsers'),
    ["sealed.toString('base64url') !== cookie", 'false'],
    ['this.#sealer.seal(kind,', "this.#sealer.seal('login',"],
  ),
  ...slips(
    'src/front/auth.js',
    front('auth', 'http', 'connection'),
    ['if (!this.#required)', 'if (this.#required)'],
    ["mode !== 'none'", 'tokens.length > 0'],
    ['/^Bearer +(\\S+)$/i', '/^Bearer +(\\S+)$/'],
    ['protocol.trim()', 'protocol'],
    ["offered(protocols).includes(PROTOCOL) ? PROTOCOL : ''", 'offered(protocols)[0]'],
    ['(this.refusal(known) ?? known)', 'known'],
  ),
  ...slips(
    'src/credentials/live-tokens.js',
    ['src/credentials/live-tokens.test.js'],
    ['expiresAt <= now', 'expiresAt < now'],
    ['this.#ended.add(id);', ''],
    ['this.#byHash.delete(token.blinded);', ''],
    ['>= USE_INTERVAL_MS', '>= 0'],
    ['if (why !== undefined)', 'if (false)'],
  ),
  ...slips(
    'src/credentials/mirror.js',
    ['src/credentials/mirror.test.js'],
    ['if (page.lost)', 'if (false)'],
    ['if (!page.more)', 'if (true)'],
    ['if (value === undefined)', 'if (false)'],
  ),
  ...slips(
    'src/shared/private-file.js',
    ['src/shared/token-file.test.js'],
    ['(mode & 0o077) !== 0', 'false'],
    ['uid !== owner', 'false'],
    ['constants.O_NOFOLLOW', '0'],
  ),
  ...slips(
    'src/shared/config-access.js',
    ['src/shared/config.test.js'],
    ['auth.tokens.length > 0)', 'false)'],
    ['mcp.publicUrl !== undefined', 'false'],
  ),
  ...slips('src/boot/head-bytes.js', ['src/front/http.test.js'], ['16_384', '4_096']),
  ...slips('src/boot/environment.js', ['src/boot/environment.test.js'], ['overwriteBlock();', '']),
  ...slips(
    'src/front/hub.js',
    front('hub', 'connection'),
    ['if (seq > subscriber.seq + 1)', 'if (seq > subscriber.seq + 2)'],
    ['seq > 0 && seq <= before', 'seq > 0 && seq < before'],
    ['subscriber.seq < seq && !this.#behind.has(subscriber)', 'subscriber.seq < seq'],
    ['waiting.length > MAX_WAITING_FRAMES', 'waiting.length > 2 * MAX_WAITING_FRAMES'],
    ['if (this.#behind.get(subscriber) !== waiting)', 'if (false)'],
    ['if (subscriber.open && waiting.length > 0)', 'if (subscriber.open && waiting.length > 1)'],
    ['if (!frames || frames.length === 0)', 'if (!frames)'],
    ['known.delete(subscriber) && known.size === 0', 'known.delete(subscriber) && known.size === 1'],
  ),
  ...slips(
    'src/front/byte-budget.js',
    front('byte-budget'),
    ['if (account.bytes >= 0)', 'if (account.bytes > 0)'],
    ['this.#leftOf(account, now) === BURST_S * this.#perSecond', 'true'],
    ['Math.max(-BURST_S * this.#perSecond, account.bytes - bytes)', 'account.bytes - bytes'],
  ),
  ...slips(
    'src/front/presence.js',
    front('presence', 'connection', 'http'),
    ['count >= limits.maxSocketsPerUser', 'count > limits.maxSocketsPerUser'],
    ['this.#present.size >= limits.maxConnections', 'this.#present.size > limits.maxConnections'],
    ['if (!this.#present.delete(subscriber))', 'if (this.#present.delete(subscriber) === undefined)'],
    ['if (count > 1)', 'if (count > 2)'],
  ),
  ...slips(
    'src/front/connection.js',
    front('connection', 'slow-reader'),
    ['this.#outstanding >= MAX_OUTSTANDING', 'this.#outstanding > MAX_OUTSTANDING'],
    ['early.texts.length > MAX_EARLY_FRAMES', 'early.texts.length > 2 * MAX_EARLY_FRAMES'],
    ['this.#context.presence.leave(this.user, this);', ''],
  ),
  ...slips(
    'src/front/sse.js',
    front('sse', 'routes/turns'),
    ["seq > 0 ? `id: ${seq}\\n` : ''", '`id: ${seq}\\n`'],
    ['frame.seq === 0 && (this.#blocked || this.#skipped)', 'frame.seq === 0 && this.#blocked'],
    ['if (!this.#blocked && this.#skipped && !this.#catchingUp)', 'if (!this.#blocked && this.#skipped)'],
    ['this.#streams.size > 0', 'this.#streams.size > 1'],
  ),
  ...slips(
    'src/front/router.js',
    front('router', 'http', 'strangers'),
    ["value === undefined || value === ''", 'value === undefined'],
    ["if (route.access === 'metrics')", 'if (false)'],
    ['if (!hasRole(asker, route.access))', 'if (false)'],
    ["first?.route.access !== 'probe' && ", ''],
    ['pattern.length !== path.length', 'pattern.length > path.length'],
    ["head.method === 'HEAD' && !route.noHead", "head.method === 'HEAD'"],
  ),
  ...slips(
    'src/front/turn-filter.js',
    front('turn-filter'),
    ["return this.#state === 'running'; //", 'return true; //'],
    ['if (turn !== this.#turn)', 'if (turn === undefined)'],
  ),
  ...slips(
    'src/front/request-rate.js',
    front('request-rate'),
    ['left >= 1 ? left - 1 : left', 'left - 1'],
    ['Math.min(full, requests', 'Math.max(0, requests'],
  ),
  ...slips(
    'src/front/history-streams.js',
    front('history-streams'),
    ['if (reading >= MAX_OF_USER)', 'if (reading > MAX_OF_USER)'],
    ['if (exchange.write(chunk) || !exchange.open)', 'if (exchange.write(chunk) || true)'],
  ),
  ...slips(
    'src/front/client-address.js',
    front('client-address'),
    ['told.pop()', 'told.shift()'],
    ['while (this.#isTrusted(client))', 'while (true)'],
  ),
  ...slips(
    'src/front/strangers.js',
    front('strangers'),
    ['?? 0) >= this.#limits.pendingSockets', '?? 0) > this.#limits.pendingSockets'],
    ['?? 0) >= openRequests', '?? 0) > openRequests'],
  ),
  ...slips(
    'src/front/hosts.js',
    front('hosts', 'http'),
    ['isLoopbackName(name) && port === own', 'isLoopbackName(name)'],
    ["name === 'localhost' || isIP(name) !== 0", 'true'],
    ["name !== '' && isIP", 'isIP'],
  ),
  ...slips(
    'src/front/metrics-access.js',
    front('metrics-server', 'router'),
    ['this.#sha256 !== undefined && !this.#ownListener', 'this.#sha256 !== undefined'],
    ['return this.#ownListener', 'return true'],
  ),
];

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

const CALLS = ['workers/agent/mcp/calls/policy.test.js', 'workers/agent/mcp/calls/judge.test.js'];

const POLICY: readonly Mutant[] = [
  ...slips(
    'src/shared/policy/policy.js',
    CALLS,
    ['doubtful.push({ action, by: { rule: index } });', ''],
    ['return strictest([rest, ...doubtful]);', 'return rest;'],
    ['return strictest([{ action, by: { rule: index } }, ...doubtful]);', 'return { action, by: { rule: index } };'],
    ['!groups.some((name) => standing.groups.includes(name))', 'standing.groups.length === 0'],
    ['!roles.includes(standing.role)', 'false'],
    ["action === 'deny' && isServer(facts.server)", 'false'],
    ['const isTrusted = ruled === BUILT_IN ||', 'const isTrusted = server === BUILT_IN ||'],
  ),
  ...slips(
    'src/shared/name-globs.js',
    CALLS,
    ['return name === first;', 'return name.startsWith(first);'],
    ['at + part.length > end', 'false'],
    ['first.length > end || ', ''],
  ),
  ...slips(
    'src/shared/kept-for-groups.js',
    ['src/shared/kept-for-groups.test.js', 'workers/agent/mcp/catalogue/tool-catalogue.test.js'],
    ['return around ? [server, around] : [server];', 'return [server];'],
    ['groups.some((group) => mine.includes(group))', 'mine.length > 0'],
    ['if (!Object.hasOwn(servers, name))', 'if (servers[name] === undefined)'],
  ),
  ...slips(
    'workers/agent/mcp/servers.js',
    ['workers/agent/mcp/servers.test.js'],
    ['!seesServer(this.#config.mcpServers, server, caller.who)', 'false'],
    ['const isOurs = caller.user === NO_USER;', 'const isOurs = false;'],
  ),
  ...slips(
    'workers/agent/mcp/calls/policy.js',
    [...CALLS, ...session('approvals')],
    ['if (pin?.isRefused)', 'if (false)'],
    ["pin && ruled.action === 'allow'", 'false'],
    ['pins = { ...given, ...config.mcp.pins.servers };', 'pins = config.mcp.pins.servers;'],
    ['if (fit.unchecked)', 'if (false)'],
  ),
  ...slips(
    'workers/agent/mcp/calls/judge.js',
    CALLS,
    ['{ ...params, server }', '{ server, ...params }'],
    ['who: of.who, allowed: []', 'allowed: []'],
  ),
  ...slips('workers/agent/session/answer.js', session('approvals'), [
    'if (parts.policy.pinned(tool)?.isRefused)',
    'if (false)',
  ]),
  ...slips(
    'src/boot/pin-file.js',
    ['src/boot/mcp-pins.test.js'],
    ["if (error.code === 'ENOENT')", 'if (error instanceof Error)'],
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

/** The file with the slip in it. Throws when `find` does not stand there exactly once: then the list is out of date. */
export function applyMutant({ file, find, replace }: Mutant, text: string): string {
  const count = text.split(find).length - 1;
  if (count !== 1) throw new Error(`edit does not apply: «${find}» stands ${count} times in dist/${file}`);
  return text.replace(find, () => replace);
}
