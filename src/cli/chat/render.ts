/** Turns server events into text for a terminal. Remembers the text before, prints nothing itself. Pure. */
import type {
  ContentBlock,
  Pending,
  PendingApproval,
  ServerEvent,
  TranscriptEntry,
  TurnWait,
  TurnWaiting,
} from '../../shared/protocol.js';
import { lossText } from '../../shared/loss-text.js';
import { differenceText } from '../../shared/tool-pins.js';
import type { Colors } from '../report.js';
import { escapeControls } from '../../shared/control-characters.js';
import { clean, cut, endsInHalfPair, inline } from '../terminal-text.js';

/** Longest streamed output that is shown of one call; the model gets all of it. */
const MAX_OUTPUT_CHARS = 65_536;
const MAX_RESULT_LINES = 8;
const MAX_CHANGES = 5;
const MAX_APPROVAL_LINES = 40;
const MAX_LINE = 1_000;
const MAX_DESCRIPTION_LINES = 8;
const HINTS: Readonly<Record<string, string>> = {
  'readOnly true': 'it only reads',
  'readOnly false': 'it changes things',
  'destructive true': 'it may destroy',
  'destructive false': 'it only adds',
  'idempotent true': 'twice is like once',
  'openWorld true': 'it reaches beyond its own data',
};
const BAR = '  │ ';

interface Call {
  label: string;
  printed: number;
}

type TurnEnd = Extract<ServerEvent, { type: 'turn:end' }>;
type ToolResultEvent = Extract<ServerEvent, { type: 'tool:result' }>;
type ToolOutputEvent = Extract<ServerEvent, { type: 'tool:output' }>;

export class Renderer {
  readonly #colors: Colors;
  /** Calls between `tool:start` and `tool:result`. */
  readonly #calls = new Map<string, Call>();
  /** Names of the calls that were asked for, kept until the turn ends, since `tool:approved` has only the callId. */
  readonly #asked = new Map<string, string>();
  #lineIsOpen = false;
  /** Owner of the open line; another owner starts a new line. */
  #section = '';
  /** The first half of a surrogate pair, until the second comes. */
  #half = '';

  constructor(colors: Colors) {
    this.#colors = colors;
  }

  render(event: ServerEvent): string {
    const { dim, green, yellow, red } = this.#colors;
    switch (event.type) {
      case 'text:delta':
        return this.#stream('text', event.text, (text) => text);
      case 'thinking:delta':
        return this.#stream('thinking', event.text, dim);
      case 'text':
        return this.#fresh();
      case 'message:accepted':
        return event.queued === 0 ? '' : this.line(dim(`in line: ${event.queued} before it`));
      case 'tool:start':
        this.#calls.set(event.callId, { label: label(event), printed: 0 });
        return this.line(`${this.#colors.cyan('⚙')} ${label(event)} ${dim(inline(event.args))}`);
      case 'tool:output':
        return this.#output(event);
      case 'tool:result':
        return this.#result(event);
      case 'tool:approved':
        return event.by === 'policy' ? '' : this.line(`${green('✓ allowed')}${this.#nameAsked(event.callId)}`);
      case 'tool:denied':
        return this.line(
          `${yellow(`✗ denied by ${inline(event.by)}`)}${this.#nameDenied(event)}${event.reason ? `: ${inline(event.reason)}` : ''}`,
        );
      case 'turn:waiting':
        return this.line(dim(waitText(event)));
      case 'turn:end':
        this.#calls.clear();
        this.#asked.clear();
        return this.#end(event);
      case 'history:cleared':
        return this.line(dim('the conversation is forgotten, the workspace stays'));
      case 'sandbox:lost':
        return this.line(yellow(`! ${inline(lossText(event), 2_000)}`));
      case 'files:changed':
        return this.line(dim(changedText(event)));
      case 'sandbox:restarted':
        return this.line(
          dim(
            event.restarted > 0
              ? 'the sandbox is saved and ended; the next tool call gets a fresh one with the files'
              : 'no sandbox runs',
          ),
        );
      case 'error':
        return this.line(red(`✗ ${inline(event.code)}: ${inline(event.message, 500)}`));
      case 'session:ready':
        for (const item of event.pending) if (item.kind === 'approval') this.#asked.set(item.callId, label(item));
        return event.reset === true ? this.#reset(event.transcript ?? []) : '';
      case 'tool:approval_required':
        this.#asked.set(event.callId, label(event));
        return '';
      case 'elicitation:request':
      case 'elicitation:resolved':
      case 'turn:start':
      case 'pong':
        return '';
      default:
        return '';
    }
  }

  /** Text on a line of its own; ends an open line first. */
  line(text: string): string {
    return `${this.#fresh()}${text}\n`;
  }

  /** An approval or a question. Shows it whole, since the user decides on what is shown. */
  question(item: Pending): string {
    const { bold, yellow } = this.#colors;
    if (item.kind === 'approval') {
      const place = item.total > 1 ? ` (${item.position} of ${item.total})` : '';
      return this.line(
        `${yellow('?')} ${bold(label(item))}${place}${this.#approvalArgs(item)}${this.#approvalTool(item)}`,
      );
    }
    const url = item.mode === 'url' && item.url !== undefined ? `\n    ${inline(item.url, 2000)}` : '';
    const origin =
      item.origin === 'sandbox'
        ? `\n    ${yellow('this text comes from code in the sandbox, not from Fairlead: enter no secrets')}`
        : '';
    // The lines of a server must not look like lines of ours.
    const message = clean(item.message).replaceAll('\n', `\n${BAR}`);
    return this.line(`${yellow('?')} ${bold(inline(item.server))} asks: ${message}${origin}${url}`);
  }

  transcript(entries: readonly TranscriptEntry[]): string {
    const { bold, dim } = this.#colors;
    return entries
      .flatMap(({ role, content }) =>
        content.map((block) => {
          const text = blockText(block);
          if (text === undefined) return '';
          if (isOfType(block, 'text')) return this.line(`${bold(role === 'user' ? '›' : '•')} ${text}`);
          return this.line(dim(`  ${text}`));
        }),
      )
      .join('');
  }

  #approvalArgs({ args }: PendingApproval): string {
    const lines = Object.entries(args).flatMap(([name, value]) => {
      const text = escapeControls(typeof value === 'string' ? value : JSON.stringify(value, null, 2)).split('\n');
      return text.length === 1
        ? [`    ${inline(name, Infinity)}: ${text[0]}`]
        : [`    ${inline(name, Infinity)}:`, ...text.map((l) => `      ${l}`)];
    });
    // A long line is broken, never cut: its end may be what matters.
    const broken = lines.flatMap((text) => pieces(text, MAX_LINE));
    const shown = broken.slice(0, MAX_APPROVAL_LINES).map((text) => `\n${text}`);
    const hidden = broken.length - shown.length;
    return shown.join('') + (hidden > 0 ? `\n    ${this.#colors.yellow(`… ${hidden} more lines: [e] shows all`)}` : '');
  }

  /** What the server says of the tool, marked as its words. */
  #approvalTool({ tool }: PendingApproval): string {
    if (!tool) return '';
    const { dim, yellow } = this.#colors;
    const { title, description, hints = {}, changed = [], pin } = tool;
    const lines = clean([title, description].filter((text) => text).join('\n'))
      .split('\n')
      .slice(0, MAX_DESCRIPTION_LINES)
      .map((text) => `\n${dim(BAR + cut(text, 500))}`);
    // `destructive` and `idempotent` mean something of tools that write.
    const told = hints.readOnly === true ? { readOnly: true, openWorld: hints.openWorld } : hints;
    const said = Object.entries(told).map(([hint, value]) => HINTS[`${hint} ${String(value)}`] ?? '');
    const words = said.filter((word) => word !== '').join(', ');
    return [
      ...lines,
      words === '' ? '' : `\n    ${dim(`its server says: ${words}`)}`,
      changed.length === 0
        ? ''
        : `\n    ${yellow(`changed since you last saw it: ${changed.map((part) => inline(part)).join(', ')}`)}`,
      pin === undefined ? '' : `\n    ${yellow(inline(differenceText(pin)))}`,
    ].join('');
  }

  #stream(section: string, text: string, paint: (text: string) => string): string {
    const start = this.#section === section ? '' : this.#fresh();
    this.#section = section;
    let whole = this.#half + text;
    this.#half = endsInHalfPair(whole) ? whole.slice(-1) : '';
    if (this.#half !== '') whole = whole.slice(0, -1);
    const safe = clean(whole);
    if (safe === '') return start;
    this.#lineIsOpen = !safe.endsWith('\n');
    return start + paint(safe);
  }

  #output({ callId, stream, text }: ToolOutputEvent): string {
    const call = this.#calls.get(callId) ?? { label: '', printed: 0 };
    if (call.printed >= MAX_OUTPUT_CHARS) return '';
    call.printed += text.length;
    const paint = stream === 'stderr' ? this.#colors.yellow : this.#colors.dim;
    if (call.printed >= MAX_OUTPUT_CHARS) return this.line(`${paint(BAR)}… more output is not shown`);
    const section = `output ${callId}`;
    const before = this.#section === section ? '' : this.#fresh();
    const named = before === '' && this.#section === section ? '' : this.#nameWhenSeveral(call);
    const continues = this.#section === section && this.#lineIsOpen;
    const body = this.#stream(section, text, (safe) => {
      const lines = safe.split('\n');
      return lines
        .map((line, index) => {
          const isEnd = index === lines.length - 1 && line === '';
          const bar = (index === 0 && continues) || isEnd ? '' : BAR;
          return paint(bar + line);
        })
        .join('\n');
    });
    return before + named + body;
  }

  /** Names the call where several run in parallel and their output alternates. */
  #nameWhenSeveral(call: Call): string {
    return this.#calls.size > 1 ? `${this.#colors.dim(`  ┌ ${call.label}`)}\n` : '';
  }

  #nameAsked(callId: string): string {
    const name = this.#asked.get(callId);
    return name === undefined ? '' : ` ${this.#colors.dim(name)}`;
  }

  /** A rule denies what nobody was asked about, so the event itself has the name; one of 0.2.0 has none. */
  #nameDenied({ callId, name, server }: Extract<ServerEvent, { type: 'tool:denied' }>): string {
    if (name === undefined || server === undefined) return this.#nameAsked(callId);
    return ` ${this.#colors.dim(label({ server, name }))}`;
  }

  #result({ callId, ok, content, ms }: ToolResultEvent): string {
    const call = this.#calls.get(callId);
    this.#calls.delete(callId);
    const { dim, green, red } = this.#colors;
    const mark = ok ? green('✓') : red('✗');
    const name = call === undefined || call.label === '' ? '' : ` ${call.label}`;
    const head = this.line(`${mark}${name} ${dim(`· ${duration(ms)} · ${summary(content)}`)}`);
    // Streamed output is not repeated, except for a failure, which is short and matters.
    if (call !== undefined && call.printed > 0 && ok) return head;
    const lines = content.flatMap((block) => (blockText(block) ?? '').split('\n')).filter((line) => line !== '');
    const shown = lines.slice(0, MAX_RESULT_LINES).map((line) => dim(`${BAR}${cut(line, 200)}`));
    if (lines.length > shown.length) shown.push(dim(`${BAR}… ${lines.length - shown.length} more lines`));
    return head + shown.map((line) => this.line(line)).join('');
  }

  #end({ stopReason, error, usage, ms, model }: TurnEnd): string {
    const { dim, yellow, red } = this.#colors;
    const facts = dim(
      `— ${inline(model)} · ${duration(ms)} · ${usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens} in, ${usage.outputTokens} out`,
    );
    if (stopReason === 'end_turn') return this.line(facts);
    if (stopReason === 'error') {
      const what = error === undefined ? 'the turn failed' : `${inline(error.code)}: ${inline(error.message, 500)}`;
      return this.line(`${red(`✗ ${what}`)} ${facts}`);
    }
    const said = {
      max_tokens: 'the answer reached its longest length',
      cancelled: 'cancelled',
      interrupted: 'interrupted: the server stopped in the middle',
      refusal: 'the model refused',
    }[stopReason];
    return this.line(`${yellow(said ?? inline(stopReason))} ${facts}`);
  }

  #reset(transcript: readonly TranscriptEntry[]): string {
    const note = this.line(this.#colors.dim('away too long for the event log: the conversation as it stands'));
    return note + this.transcript(transcript.slice(-4));
  }

  #fresh(): string {
    const wasOpen = this.#lineIsOpen;
    this.#lineIsOpen = false;
    this.#section = '';
    this.#half = '';
    return wasOpen ? '\n' : '';
  }
}

const WAITS: Record<TurnWait, string> = {
  model_rate: 'the model’s API is over its rate limit; the turn waits',
  fairness: 'others are first; the turn waits for the model',
  sandbox: 'the call waits for a sandbox',
};

/** A newer server may know more reasons. */
/** What a turn has made; what its user does to files they know. */
function changedText({ changes, truncated }: Extract<ServerEvent, { type: 'files:changed' }>): string {
  const shown = changes.slice(0, MAX_CHANGES).map(({ path, change }) => `${change} ${inline(path, 200)}`);
  const left = changes.length - shown.length;
  const more = left > 0 ? `, and ${left} more` : truncated ? ', and more' : '';
  return `files: ${shown.join(', ')}${more}`;
}

function waitText({ reason, retryAfterMs }: TurnWaiting): string {
  const text = WAITS[reason] ?? 'the turn waits';
  return retryAfterMs === undefined ? text : `${text}, for about ${Math.max(1, Math.round(retryAfterMs / 1000))} s`;
}

function label({ server, name }: { server: string; name: string }): string {
  return `${inline(server, 40)}/${inline(name, 80)}`;
}

function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function summary(content: readonly ContentBlock[]): string {
  const chars = content.reduce((sum, block) => sum + (block.type === 'text' ? block.text.length : 0), 0);
  const others = content.filter((block) => block.type !== 'text').map(({ type }) => inline(type, 20));
  const cutHere = content.some((block) => 'truncated' in block && block.truncated === true) ? ', cut' : '';
  return [`${chars} characters${cutHere}`, ...others].join(', ');
}

function isOfType(block: unknown, type: string): boolean {
  return typeof block === 'object' && block !== null && 'type' in block && block.type === type;
}

/** Safe text of a content block in a transcript or tool result; undefined for blocks that are not shown. */
function blockText(block: unknown): string | undefined {
  if (typeof block !== 'object' || block === null || !('type' in block)) return undefined;
  if (block.type === 'text' && 'text' in block) return clean(String(block.text));
  if (block.type === 'tool_use' && 'name' in block) {
    return `⚙ ${inline(String(block.name))} ${'input' in block ? inline(block.input) : ''}`;
  }
  if (block.type === 'tool_result' && 'content' in block) {
    const parts = Array.isArray(block.content) ? block.content.map(blockText).filter(Boolean) : [String(block.content)];
    return `→ ${inline(parts.join(' '))}`;
  }
  return block.type === 'thinking' || block.type === 'redacted_thinking'
    ? undefined
    : `[${inline(String(block.type))}]`;
}

/** Of at most `length` UTF-16 units each, never with half a surrogate pair. */
function pieces(text: string, length: number): string[] {
  const found: string[] = [];
  for (let from = 0, to: number; from < text.length || from === 0; from = to) {
    to = from + length;
    if (to < text.length && endsInHalfPair(text.slice(from, to))) to--;
    found.push(text.slice(from, to));
  }
  return found;
}
