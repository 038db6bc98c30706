/** Do arguments fit a tool's schema? Asked before the person is, so that nobody approves what cannot run. Agent threads. */
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/client/validators/ajv';
import type { Logger } from '../../../src/log.js';
import type { ToolDefinition } from '../../../src/tool-definition.js';

type Check = (args: unknown) => string | undefined;

export class ToolArgs {
  readonly #log: Logger;
  readonly #ajv = new AjvJsonSchemaValidator();
  /** By definition, so that a catalogue that is replaced takes its compiled schemas with it. */
  readonly #checks = new WeakMap<ToolDefinition, Check>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** What does not fit, in words for the model; undefined when all does. */
  problem(tool: ToolDefinition, args: unknown): string | undefined {
    let check = this.#checks.get(tool);
    if (!check) {
      check = this.#compile(tool);
      this.#checks.set(tool, check);
    }
    return check(args);
  }

  #compile(tool: ToolDefinition): Check {
    try {
      const validate = this.#ajv.getValidator(tool.inputSchema);
      return (args) => {
        const result = validate(args);
        return result.valid ? undefined : result.errorMessage;
      };
    } catch (error) {
      // The server checks its own arguments; a schema that we cannot compile must not take the tool away.
      this.#log.warn({ tool: tool.name, err: (error as Error).message }, 'the tool’s schema cannot be compiled');
      return () => undefined;
    }
  }
}
