/** The image of a chaos run: an MCP server in shell that keeps a marker, starts quickly and leaves processes behind. Runs in tests. */
import { makeTinyImage, type TinyImage } from '../../helpers/tiny-image.js';

const HANDSHAKE = {
  protocolVersion: '2025-11-25',
  capabilities: { tools: {} },
  serverInfo: { name: 'chaos', version: '1' },
};
const INPUT = { type: 'object', properties: { text: { type: 'string' } } };
const TOOLS = ['write', 'read', 'nap'].map((name) => ({ name, description: name, inputSchema: INPUT }));

/** Shell that puts the value after `"name":` of the line into `variable`. No value holds a quote, a comma or a brace. */
const take = (variable: string, name: string): string =>
  `${variable}=\${line#*'"${name}":'}; ${variable}=\${${variable}%%,*}; ${variable}=\${${variable}%%\\}*}`;

const say = (json: string): string =>
  `${take('id', 'id')}; printf '%s\\n' '{"jsonrpc":"2.0","id":'"$id"',"result":${json}}'`;
const TEXT = `{"content":[{"type":"text","text":"'"$text"'"}]}`;
const NOTE = `printf '%s\\n' '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":'"$token"',"progress":1,"message":"napping"}}'`;

/** `write {text}`, `read {}`; `nap {}` says that it does, leaves a process in the background, and never answers. */
const SERVER = `while IFS= read -r line; do case "$line" in
*'"method":"initialize"'*) ${say(JSON.stringify(HANDSHAKE))};;
*'"method":"tools/list"'*) ${say(JSON.stringify({ tools: TOOLS }))};;
*'"method":"ping"'*) ${say('{}')};;
*'"name":"write"'*) ${take('text', 'text')}; text=\${text#'"'}; text=\${text%'"'}; printf '%s' "$text" >/workspace/marker; ${say(TEXT)};;
*'"name":"read"'*) text=; [ -e /workspace/marker ] && text=$(cat /workspace/marker); ${say(TEXT)};;
*'"name":"nap"'*) ${take('token', 'progressToken')}; sleep 600 & ${NOTE};;
esac; done`;

export function makeChaosImage(): Promise<TinyImage> {
  return makeTinyImage(SERVER);
}
