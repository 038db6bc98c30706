/** Prompts of MCP servers: what there is, and the text that one makes. */
import type { Fairlead } from 'fairlead/client';

export interface Prompt {
  server: string;
  name: string;
  title?: string;
  description?: string;
  arguments: readonly PromptArgument[];
}

export interface PromptArgument {
  name: string;
  description?: string;
  required?: boolean;
}

interface Server {
  name: string;
  state: string;
  prompts: boolean;
}

interface Message {
  content: { type: string; text?: string } | readonly { type: string; text?: string }[];
}

/** Of the servers that answer. A server without an answer costs its own. */
export async function listPrompts(client: Fairlead, session: string): Promise<Prompt[]> {
  const { servers } = await client.request<{ servers: Server[] }>('GET', '/v1/mcp');
  const asked = servers.filter(({ prompts, state }) => prompts && state !== 'down' && state !== 'needs_login');
  const lists = await Promise.allSettled(
    asked.map(async ({ name: server }) => {
      const path = `/v1/mcp/${encodeURIComponent(server)}/prompts?session=${session}`;
      const { prompts } = await client.request<{ prompts: (Omit<Prompt, 'server'> & Partial<Prompt>)[] }>('GET', path);
      return prompts.map((prompt) => ({ ...prompt, server, arguments: prompt.arguments ?? [] }));
    }),
  );
  return lists.flatMap((list) => (list.status === 'fulfilled' ? list.value : []));
}

/** The prompt's words, for the person to look at before they are said. */
export async function readPrompt(
  client: Fairlead,
  session: string,
  { server, name }: Prompt,
  args: Readonly<Record<string, string>>,
): Promise<string> {
  const path = `/v1/mcp/${encodeURIComponent(server)}/prompts/${encodeURIComponent(name)}?session=${session}`;
  const { messages } = await client.request<{ messages: Message[] }>('POST', path, { arguments: args });
  return messages
    .flatMap(({ content }) => content)
    .flatMap(({ type, text }) => (type === 'text' && text !== undefined ? [text] : []))
    .join('\n\n');
}
