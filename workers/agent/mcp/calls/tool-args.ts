/** Do arguments fit a tool's schema? Asked before the person is, so that nobody approves what cannot run. Agent threads. */
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/client/validators/ajv';
import type { Logger } from '../../../../src/shared/log.js';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';

type SchemaCheck = (value: unknown) => string | undefined;

export class ToolArgs {
  readonly #log: Logger;
  /** By definition, so that a catalogue that is replaced takes its compiled schemas with it. */
  readonly #inputs = new WeakMap<ToolDefinition, SchemaCheck>();
  readonly #outputs = new WeakMap<ToolDefinition, SchemaCheck>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** What does not fit, in words for the model; undefined when all does. */
  problem(tool: ToolDefinition, args: unknown): string | undefined {
    return this.#checkOf(this.#inputs, tool, tool.inputSchema)(args);
  }

  /** The same for what a tool has answered. */
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
      // One each: a validator keeps every schema that it has compiled, and knows those with an `$id` by that alone, so that
      // one server's could stand in for another's. It reads nothing from elsewhere.
      const validate = new AjvJsonSchemaValidator().getValidator(schema);
      return (value) => {
        const result = validate(value);
        return result.valid ? undefined : result.errorMessage;
      };
    } catch (error) {
      // The server checks its own arguments; a schema that we cannot compile must not take the tool away.
      this.#log.warn({ tool: tool.name, err: (error as Error).message }, 'the tool’s schema cannot be compiled');
      return () => undefined;
    }
  }
}
