/** The image of a chaos run: an MCP server in shell whose tools leave traces in the workspace. Runs in tests. */
import { makeTinyImage, type TinyImage } from '../helpers/tiny-image.js';

const HANDSHAKE = {
  protocolVersion: '2025-11-25',
  capabilities: { tools: {} },
  serverInfo: { name: 'chaos', version: '1' },
};
const INPUT = { type: 'object', properties: { text: { type: 'string' } } };
const TOOLS = ['bump', 'careful', 'effects', 'write', 'read', 'nap'].map((name) => ({
  name,
  description: name,
  inputSchema: INPUT,
}));

/** Shell that puts the value after `"name":` of the line into `variable`. No value holds a quote, a comma or a brace. */
const take = (variable: string, name: string): string =>
  `${variable}=\${line#*'"${name}":'}; ${variable}=\${${variable}%%,*}; ${variable}=\${${variable}%%\\}*}`;
const say = (json: string): string =>
  `${take('id', 'id')}; printf '%s\\n' '{"jsonrpc":"2.0","id":'"$id"',"result":${json}}'`;
const TEXT = `{"content":[{"type":"text","text":"'"$text"'"}]}`;
const TAKE_TEXT = `${take('text', 'text')}; text=\${text#'"'}; text=\${text%'"'}`;
const EFFECT = [
  '[ -e /workspace/id ] || cat /proc/sys/kernel/random/uuid >/workspace/id',
  TAKE_TEXT,
  `printf '%s\\n' "$text" >>/workspace/effects`,
  'text="$(cat /workspace/id) $text"',
  say(TEXT),
].join('; ');
const PROGRESS = `printf '%s\\n' '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":'"$token"',"progress":1,"message":"napping"}}'`;

/**
 * `bump {text}` and `careful {text}` append the text and answer with the workspace's own id and the text; `effects {}` answers
 * with that id and all texts. `write {text}` keeps one text, `read {}` answers with it. `nap {}` reports progress, leaves a
 * process in the background, and never answers.
 */
const SERVER = `while IFS= read -r line; do case "$line" in
*'"method":"initialize"'*) ${say(JSON.stringify(HANDSHAKE))};;
*'"method":"tools/list"'*) ${say(JSON.stringify({ tools: TOOLS }))};;
*'"method":"ping"'*) ${say('{}')};;
*'"name":"bump"'*|*'"name":"careful"'*) ${EFFECT};;
*'"name":"effects"'*) text="$(cat /workspace/id 2>/dev/null) $(tr '\\n' ' ' </workspace/effects 2>/dev/null)"; ${say(TEXT)};;
*'"name":"write"'*) ${TAKE_TEXT}; printf '%s' "$text" >/workspace/marker; ${say(TEXT)};;
*'"name":"read"'*) text=; [ -e /workspace/marker ] && text=$(cat /workspace/marker); ${say(TEXT)};;
*'"name":"nap"'*) ${take('token', 'progressToken')}; sleep 600 & ${PROGRESS};;
esac; done`;

export function makeChaosTools(): Promise<TinyImage> {
  return makeTinyImage(SERVER);
}
