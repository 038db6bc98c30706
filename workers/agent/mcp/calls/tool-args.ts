/** Checks arguments and structured results against a tool's schemas, which it compiles once. Agent threads. */
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/client/validators/ajv';
import type { Logger } from '../../../../src/shared/log.js';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';

type SchemaCheck = (value: unknown) => string | undefined;

export class ToolArgs {
  readonly #log: Logger;
  /** Keyed by the definition, so that compiled schemas go with a catalogue that is replaced. */
  readonly #inputs = new WeakMap<ToolDefinition, SchemaCheck>();
  readonly #outputs = new WeakMap<ToolDefinition, SchemaCheck>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Says for the model why the arguments do not fit; undefined when they do. */
  problem(tool: ToolDefinition, args: unknown): string | undefined {
    return this.#checkOf(this.#inputs, tool, tool.inputSchema)(args);
  }

  /** The same for a tool's structured result. */
  outputProblem(tool: ToolDefinition, structuredContent: unknown): string | undefined {
    return tool.outputSchema && this.#checkOf(this.#outputs, tool, tool.outputSchema)(structuredContent);
  }

  #checkOf(
    checks: WeakMap<ToolDefinition, SchemaCheck>,
    tool: ToolDefinition,
    schema: Record<string, unknown>,
  ): SchemaCheck {
    let check = checks.get(tool);
    if (!check) {
      check = this.#compile(tool, schema);
      checks.set(tool, check);
    }
    return check;
  }

  #compile(tool: ToolDefinition, schema: Record<string, unknown>): SchemaCheck {
    try {
      // Each schema has a validator of its own. A shared one would find schemas by `$id`, so that one server's schema could
      // replace another's. A validator fetches nothing.
      const validate = new AjvJsonSchemaValidator().getValidator(schema);
      return (value) => {
        const result = validate(value);
        return result.valid ? undefined : result.errorMessage;
      };
    } catch (error) {
      // The server checks its arguments itself, so a schema that we cannot compile does not disable the tool.
      this.#log.warn({ tool: tool.name, err: (error as Error).message }, 'the tool’s schema cannot be compiled');
      return () => undefined;
    }
  }
}
