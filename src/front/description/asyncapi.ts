/** The WebSocket interface as AsyncAPI 3, made from the schemas that check frames, and from those of the events. Pure. */
import { frameSchema } from '../frames.js';
import { CLOSE, PROTOCOL } from '../../shared/protocol.js';
import { VERSION } from '../../shared/version.js';
import { EVENT_WORDS, EVENTS } from './event-schemas.js';
import { answerSchema, requestSchema, type JsonSchema } from './json-schemas.js';

const ABOUT = `One JSON object a text frame. Events with a \`seq\` are durable: a client that comes back with \`after\` gets each of them once, in order.
What a client may rely on in words: docs/protocol.md. Close codes: ${Object.entries(CLOSE)
  .map(([name, code]) => `${code} ${name}`)
  .join(', ')}.`;

type FrameType = (typeof frameSchema.options)[number]['shape']['type']['value'];

const FRAME_WORDS: Record<FrameType, string> = {
  message: 'Start a turn',
  'tool:approval': 'Approve or deny a tool call',
  'elicitation:reply': 'Answer a question of an MCP server',
  'turn:cancel': 'Stop the running turn',
  'history:reset': 'Forget the conversation',
  'sandbox:restart': 'Save the workspace and end the sandboxes',
  ping: 'Ask for a pong',
  'auth:refresh': 'Go on with a newer credential',
};

export function describeWebSocket(): JsonSchema {
  const frames = frameSchema.options.map((schema) => {
    const type = schema.shape.type.value;
    return [`client.${nameOf(type)}`, messageOf(type, FRAME_WORDS[type], requestSchema(schema))] as const;
  });
  const events = Object.entries(EVENTS).map(([type, schema]) => {
    const words = EVENT_WORDS[type as keyof typeof EVENTS];
    return [`server.${nameOf(type)}`, messageOf(type, words, answerSchema(schema, false))] as const;
  });
  return {
    asyncapi: '3.0.0',
    info: { title: 'Fairlead', version: VERSION, description: ABOUT, license: { name: 'Apache-2.0' } },
    defaultContentType: 'application/json',
    channels: {
      session: {
        address: '/v1/ws',
        title: 'A session',
        description: `The subprotocol is ${PROTOCOL}. A browser offers its token as a second one, bearer.TOKEN.`,
        bindings: { ws: { method: 'GET', query: QUERY } },
        messages: Object.fromEntries(
          [...frames, ...events].map(([name]) => [name, { $ref: `#/components/messages/${name}` }]),
        ),
      },
    },
    operations: {
      hear: {
        action: 'receive',
        summary: 'What a client sends',
        channel: { $ref: '#/channels/session' },
        messages: refs(frames),
      },
      tell: {
        action: 'send',
        summary: 'What the server sends',
        channel: { $ref: '#/channels/session' },
        messages: refs(events),
      },
    },
    components: { messages: Object.fromEntries([...frames, ...events]) },
  };
}

function refs(of: readonly (readonly [string, object])[]): JsonSchema[] {
  return of.map(([name]) => ({ $ref: `#/channels/session/messages/${name}` }));
}

const QUERY = {
  type: 'object',
  properties: {
    session: { type: 'string', description: 'Resume this session; absent: a new one' },
    after: { type: 'integer', minimum: 0, description: 'The seq of the last event that was handled' },
    model: { type: 'string', description: 'Of a new session' },
    image: { type: 'string', description: 'Of a new session’s sandbox, as `GET /v1/images` names it' },
  },
};

function messageOf(type: string, summary: string, payload: JsonSchema): JsonSchema {
  return { name: type, title: type, summary, payload };
}

/** Keys of components take no colon. */
function nameOf(type: string): string {
  return type.replaceAll(':', '.');
}
