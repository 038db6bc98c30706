/** The image of a chaos run: an MCP server in shell whose tools count their own effects in the workspace. Runs in tests. */
import { makeTinyImage, type TinyImage } from '../helpers/tiny-image.js';

const HANDSHAKE = {
  protocolVersion: '2025-11-25',
  capabilities: { tools: {} },
  serverInfo: { name: 'chaos', version: '1' },
};
const INPUT = { type: 'object', properties: { text: { type: 'string' } } };
const TOOLS = ['bump', 'careful', 'nap', 'effects'].map((name) => ({ name, description: name, inputSchema: INPUT }));

/** Shell that puts the value after `"name":` of the line into `variable`. No value holds a quote, a comma or a brace. */
const take = (variable: string, name: string): string =>
  `${variable}=\${line#*'"${name}":'}; ${variable}=\${${variable}%%,*}; ${variable}=\${${variable}%%\\}*}`;
const say = (json: string): string =>
  `${take('id', 'id')}; printf '%s\\n' '{"jsonrpc":"2.0","id":'"$id"',"result":${json}}'`;
const TEXT = `{"content":[{"type":"text","text":"'"$text"'"}]}`;
/** Written to a file of the effect's own name for each time that it happened. */
const EFFECT = [
  '[ -e /workspace/id ] || cat /proc/sys/kernel/random/uuid >/workspace/id',
  take('text', 'text'),
  `text=\${text#'"'}; text=\${text%'"'}`,
  `printf '%s\\n' "$text" >>/workspace/effects`,
  'text="$(cat /workspace/id) $text"',
  say(TEXT),
].join('; ');

/**
 * `bump {text}` and `careful {text}` write the text and answer with the workspace's own id and the text; `effects {}` answers
 * with that id and all texts; `nap {}` never answers.
 */
const SERVER = `while IFS= read -r line; do case "$line" in
*'"method":"initialize"'*) ${say(JSON.stringify(HANDSHAKE))};;
*'"method":"tools/list"'*) ${say(JSON.stringify({ tools: TOOLS }))};;
*'"method":"ping"'*) ${say('{}')};;
*'"name":"bump"'*|*'"name":"careful"'*) ${EFFECT};;
*'"name":"effects"'*) text="$(cat /workspace/id 2>/dev/null) $(tr '\\n' ' ' </workspace/effects 2>/dev/null)"; ${say(TEXT)};;
esac; done`;

export function makeChaosTools(): Promise<TinyImage> {
  return makeTinyImage(SERVER);
}
