/** A stdio MCP server written with SDK v2, which speaks both protocols; with `--modern` the modern one only. A program of the tests. */
import { inputRequired, McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { z } from 'zod';

const COLOUR = {
  type: 'object' as const,
  properties: { colour: { type: 'string' as const } },
  required: ['colour'],
};

const text = (value: unknown) => ({ content: [{ type: 'text' as const, text: String(value) }] });

function createServer(): McpServer {
  const server = new McpServer({ name: 'sdk-v2', version: '2' }, { capabilities: { tools: {} } });
  server.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, async (args) => text(args.text));
  server.registerTool('pid', { inputSchema: z.object({}) }, async () => text(process.pid));
  server.registerTool('cwd', { inputSchema: z.object({}) }, async () => text(process.cwd()));
  server.registerTool('env', { inputSchema: z.object({}) }, async () => text(JSON.stringify(process.env)));
  server.registerTool('exit', { inputSchema: z.object({ code: z.number() }) }, async ({ code }) => process.exit(code));
  server.registerTool('print', { inputSchema: z.object({ text: z.string(), times: z.number() }) }, async (args) => {
    process.stdout.write(args.text.repeat(args.times));
    return text('printed');
  });
  server.registerTool('alive', { inputSchema: z.object({ pid: z.number() }) }, async ({ pid }) => text(isAlive(pid)));
  server.registerTool(
    'write',
    { inputSchema: z.object({ file: z.string(), text: z.string() }) },
    async ({ file, text: content }) => {
      await writeFile(file, content);
      return text('written');
    },
  );
  server.registerTool('read', { inputSchema: z.object({ file: z.string() }) }, async ({ file }) =>
    text(await readFile(file, 'utf8')),
  );
  server.registerTool('pid-after', { inputSchema: z.object({ file: z.string() }) }, async ({ file }) => {
    await writeFile(`${file}.begun`, '');
    while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 20));
    return text(process.pid);
  });
  server.registerTool('more', { inputSchema: z.object({}) }, async () => {
    server.registerTool('extra', { inputSchema: z.object({}) }, async () => text('extra'));
    return text('more');
  });
  server.registerTool('fork', { inputSchema: z.object({}) }, async () => {
    const child = spawn('sleep', ['600'], { stdio: 'inherit' });
    return text(child.pid);
  });
  server.registerTool('stubborn', { inputSchema: z.object({}) }, async () => {
    process.on('SIGTERM', () => undefined);
    setInterval(() => undefined, 1_000); // it lives on without its input
    return text('stubborn');
  });
  server.registerTool('wait', { inputSchema: z.object({}) }, async (_args, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    if (progressToken !== undefined) {
      const params = { progressToken, progress: 1, total: 2, message: 'waiting' };
      await mcpReq.notify({ method: 'notifications/progress', params });
    }
    await new Promise((resolve) => mcpReq.signal.addEventListener('abort', resolve, { once: true }));
    cancelled++;
    return text('cancelled');
  });
  server.registerTool('cancelled', { inputSchema: z.object({}) }, async () => text(cancelled));
  server.registerTool('ask', { inputSchema: z.object({}) }, async (_args, { mcpReq }) => {
    const answer = mcpReq.inputResponses?.['colour'];
    if (answer) return text(JSON.stringify(answer));
    return inputRequired({
      inputRequests: { colour: inputRequired.elicit({ message: 'Which colour?', requestedSchema: COLOUR }) },
      requestState: 'asked once',
    });
  });
  return server;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

let cancelled = 0;
serveStdio(createServer, { legacy: process.argv.includes('--modern') ? 'reject' : 'serve' });
