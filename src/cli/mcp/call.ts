/** `fairlead mcp call`: one call of one tool through /mcp, under the rules of a turn; asks at the terminal. Command line's process. */
import {
  Client,
  ProtocolError,
  StreamableHTTPClientTransport,
  type ElicitRequest,
  type ElicitResult,
} from '@modelcontextprotocol/client';
import { createInterface, type Interface } from 'node:readline/promises';
import { z } from 'zod';
import { FairleadError } from '../../shared/errors.js';
import { VERSION } from '../../shared/version.js';
import { describeField, fieldsOf, parseField } from '../elicitation-form.js';
import type { Colors } from '../report.js';
import { clean, inline } from '../terminal-text.js';
import type { McpApi } from './mcp-api.js';

/** The server has deadlines of its own; they are shorter. */
const CALL_MS = 3_600_000;

const argumentsSchema = z.record(z.string(), z.unknown());

export interface CallOptions {
  http: string;
  token: string | undefined;
  json: boolean;
  /** Say yes to each question that asks for nothing else. */
  yes: boolean;
  input: NodeJS.ReadStream;
  output: NodeJS.WriteStream;
  /** Where questions are asked, so that the result alone is on the output. */
  errors: NodeJS.WriteStream;
  colors: Colors;
}

/** Resolves to the exit code: 1 when the tool's result is an error. ERR_TOOL_ARGS, ERR_NOT_FOUND. */
export async function callTool(
  api: McpApi,
  server: string,
  tool: string,
  json: string,
  options: CallOptions,
): Promise<number> {
  const args = readArguments(json);
  const { tools } = await api.info(server);
  if (!tools.some(({ name }) => name === tool)) {
    const names = tools.map(({ name }) => inline(name)).join(', ');
    throw new FairleadError(
      'ERR_NOT_FOUND',
      `${inline(server)} has no tool ${inline(tool)}; it has: ${names || 'none'}`,
    );
  }
  const asker = new Asker(options);
  const client = new Client(
    { name: 'fairlead-cli', version: VERSION },
    { capabilities: { elicitation: { form: {}, url: {} } } },
  );
  client.setRequestHandler('elicitation/create', ({ params }) => asker.ask(params));
  const headers = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
  const transport = new StreamableHTTPClientTransport(new URL('/mcp', options.http), { requestInit: { headers } });
  try {
    await client.connect(transport);
    const offered = (await client.listTools()).tools.map(({ name }) => name);
    const name = [`${server}__${tool}`, tool].find((each) => offered.includes(each));
    if (name === undefined) throw new FairleadError('ERR_NOT_FOUND', `${inline(tool)} is not offered to you now`);
    const onprogress = ({ message }: { message?: string | undefined }): void => {
      if (message !== undefined && !options.json)
        options.errors.write(options.colors.dim(`${clean(message).trimEnd()}\n`));
    };
    const result = await client.callTool({ name, arguments: args }, { timeout: CALL_MS, onprogress });
    options.output.write(options.json ? `${JSON.stringify(result)}\n` : resultText(result));
    return result.isError === true ? 1 : 0;
  } catch (error) {
    if (error instanceof ProtocolError) throw new FairleadError('ERR_MCP', error.message, { cause: error });
    throw error;
  } finally {
    asker.close();
    await transport.terminateSession().catch(() => undefined); // it goes by itself when it is unused
    await client.close();
  }
}

function readArguments(json: string): Record<string, unknown> {
  try {
    return argumentsSchema.parse(JSON.parse(json));
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new FairleadError('ERR_TOOL_ARGS', `the arguments are not valid JSON: ${error.message}`);
    if (error instanceof z.ZodError)
      throw new FairleadError('ERR_TOOL_ARGS', `the arguments must be a JSON object, such as '{"path": "a.txt"}'`);
    throw error;
  }
}

function resultText({
  content,
  structuredContent,
}: {
  content: { type: string; text?: unknown }[];
  structuredContent?: unknown;
}): string {
  const lines = content.map((block) => {
    if (block.type === 'text' && typeof block.text === 'string') return clean(block.text).trimEnd();
    const { data, blob, ...rest } = block as Record<string, unknown>;
    const size = typeof data === 'string' ? data.length : typeof blob === 'string' ? blob.length : undefined;
    return `[${inline(rest, 400)}${size === undefined ? '' : `, ${size} characters of base64`}]`;
  });
  if (lines.length === 0 && structuredContent !== undefined)
    lines.push(clean(JSON.stringify(structuredContent, null, 2)));
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** Asks one question after the other, as the chat does. Without a terminal all are refused, but for those that `yes` answers. */
class Asker {
  readonly #options: CallOptions;
  #readline: Interface | undefined;

  constructor(options: CallOptions) {
    this.#options = options;
  }

  async ask(params: ElicitRequest['params']): Promise<ElicitResult> {
    const { errors, colors, yes, input } = this.#options;
    errors.write(`${colors.yellow('?')} ${clean(params.message)}\n`);
    if (params.mode === 'url') errors.write(`  ${inline(params.url, 8_000)}\n`);
    const fields = params.mode === 'url' ? [] : fieldsOf(params.requestedSchema);
    if (yes && params.mode !== 'url' && fields.length === 0) return { action: 'accept', content: {} };
    if (!input.isTTY) {
      errors.write(`${colors.dim('refused, since nobody is at the terminal (--yes allows the call itself)')}\n`);
      return { action: 'decline' };
    }
    const content: ElicitResult['content'] = {};
    for (const field of fields) {
      for (;;) {
        const line = (await this.#read(`${describeField(field)} (/decline) › `)).trim();
        if (line === '/decline') return { action: 'decline' };
        const value = parseField(field, line);
        if (!(value instanceof Error)) {
          if (value !== undefined) content[field.name] = value as string | number | boolean;
          break;
        }
        errors.write(`${colors.yellow(value.message)}\n`);
      }
    }
    if (fields.length > 0) return { action: 'accept', content };
    const line = await this.#read(
      params.mode === 'url' ? 'open the address; done? [y]es / [n]o › ' : '[y]es / [n]o › ',
    );
    if (!/^y(es)?$/i.test(line.trim())) return { action: 'decline' };
    return params.mode === 'url' ? { action: 'accept' } : { action: 'accept', content: {} };
  }

  close(): void {
    this.#readline?.close();
  }

  #read(question: string): Promise<string> {
    this.#readline ??= createInterface({ input: this.#options.input, output: this.#options.errors });
    return this.#readline.question(question);
  }
}
