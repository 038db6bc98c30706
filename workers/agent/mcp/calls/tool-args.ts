/** Checks arguments and structured results against a tool's schemas. Agent threads. */
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';
import type { CheckOwner, ForeignSchemas } from '../../schema/foreign-schemas.js';

export class ToolArgs {
  readonly #schemas: Pick<ForeignSchemas, 'check'>;

  constructor(schemas: Pick<ForeignSchemas, 'check'>) {
    this.#schemas = schemas;
  }

  /** Says for the model why the arguments do not fit; undefined when they do. */
  async problem(tool: ToolDefinition, args: unknown, owner: CheckOwner): Promise<string | undefined> {
    const fit = await this.#schemas.check(tool.inputSchema, args, owner);
    return fit.fits ? undefined : fit.problem;
  }

  /** The same for a tool's structured result. */
  async outputProblem(
    { outputSchema }: ToolDefinition,
    structuredContent: unknown,
    owner: CheckOwner,
  ): Promise<string | undefined> {
    if (!outputSchema) return undefined;
    const fit = await this.#schemas.check(outputSchema, structuredContent, owner);
    return fit.fits ? undefined : fit.problem;
  }
}
