/** What each model takes: known from its name, and learned from what its API refuses. One per agent thread. */
import type { ThinkingConfigParam } from '@anthropic-ai/sdk/resources/messages';
import { LRUCache } from 'lru-cache';

/** Names come from the configuration, so there are few. */
const MAX_MODELS = 100;

export interface Traits {
  /** Absent: nothing is said about thinking. */
  thinking?: ThinkingConfigParam;
  maxTokens: number;
  /** True when nothing is marked for the prompt cache. */
  uncached?: boolean;
}

interface Learned {
  /** How many of the ways to ask for thinking this model has refused. */
  refused: number;
  maxTokens?: number;
  uncached?: boolean;
  /** Tokens of a request. */
  maxPrompt?: number;
}

export class ModelTraits {
  readonly #thinking: number | (() => number);
  #before: number;
  readonly #learned = new LRUCache<string, Learned>({ max: MAX_MODELS });

  /** 0: no thinking. As a function it may change. */
  constructor(thinkingTokens: number | (() => number)) {
    this.#thinking = thinkingTokens;
    this.#before = this.#thinkingTokens;
  }

  get #thinkingTokens(): number {
    return typeof this.#thinking === 'number' ? this.#thinking : this.#thinking();
  }

  of(model: string, maxTokens: number): Traits {
    // Which ways a model has refused says nothing of other ways.
    if (this.#before !== this.#thinkingTokens) this.#learned.clear();
    this.#before = this.#thinkingTokens;
    const { refused = 0, maxTokens: most = Infinity, uncached } = this.#learned.get(model) ?? {};
    const allowed = Math.min(maxTokens, most);
    const way = this.#ways(model)[refused];
    const hasRoom = way?.type !== 'enabled' || way.budget_tokens < allowed;
    const thinking = hasRoom ? way : undefined;
    return { ...(thinking ? { thinking } : {}), maxTokens: allowed, ...(uncached ? { uncached } : {}) };
  }

  /** True when the refusal is about the model and not about the conversation: the same request can be made another way. */
  learn(model: string, refusal: string): boolean {
    const learned = this.#learned.get(model) ?? { refused: 0 };
    const most = /max_tokens: \d+ > (\d+)/.exec(refusal)?.[1];
    if (most !== undefined && Number(most) > 0 && Number(most) < (learned.maxTokens ?? Infinity)) {
      this.#learned.set(model, { ...learned, maxTokens: Number(most) });
      return true;
    }
    // The marker is ours wherever it stands, so it is no part of the conversation.
    if (/\bcache_control\b/.test(refusal) && !learned.uncached) {
      this.#learned.set(model, { ...learned, uncached: true });
      return true;
    }
    // Thinking that stands in a message is the conversation's, and a tool may be named after it.
    if (!/\bthinking\b|budget_tokens/.test(refusal) || /\b(?:messages|tools)[.[]\d/.test(refusal)) return false;
    if (learned.refused >= this.#ways(model).length) return false;
    this.#learned.set(model, { ...learned, refused: learned.refused + 1 });
    return true;
  }

  /** What this model's API said that a request may have. */
  learnMaxPrompt(model: string, maxPrompt: number): void {
    this.#learned.set(model, { ...(this.#learned.get(model) ?? { refused: 0 }), maxPrompt });
  }

  maxPromptTokens(model: string): number | undefined {
    return this.#learned.get(model)?.maxPrompt;
  }

  /** The ways to ask this model for what the configuration says, best first; after the last one nothing is asked. */
  #ways(model: string): ThinkingConfigParam[] {
    const budget = this.#thinkingTokens;
    const kind = thinkingOf(model);
    // A model that chooses by itself may think unless it is told not to.
    if (budget === 0) return kind === 'adaptive' ? [{ type: 'disabled' }] : [];
    const adaptive: ThinkingConfigParam[] = [{ type: 'adaptive', display: 'summarized' }, { type: 'adaptive' }];
    const fixed: ThinkingConfigParam[] = [
      { type: 'enabled', budget_tokens: budget, display: 'summarized' },
      { type: 'enabled', budget_tokens: budget },
    ];
    switch (kind) {
      case 'adaptive':
        return [...adaptive, ...fixed];
      case 'budget':
        return [...fixed, ...adaptive];
      case 'none':
        return [];
    }
  }
}

/** A name that is not Claude's counts as one with a budget, the oldest form, which gateways know best. */
function thinkingOf(model: string): 'adaptive' | 'budget' | 'none' {
  const version = /claude-[a-z]+-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)/.exec(model);
  if (version) {
    const [major, minor] = [Number(version[1]), Number(version[2] ?? 0)];
    return major > 4 || (major === 4 && minor >= 6) ? 'adaptive' : 'budget';
  }
  if (/claude-3[-.]7/.test(model)) return 'budget';
  return /claude-(?:[123]|v\d|instant)/.test(model) ? 'none' : 'budget';
}
