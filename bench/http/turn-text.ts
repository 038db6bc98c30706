/** The message to the demo model, and the part of the answer that shows that it is complete. */

/** The model has no tool for it and gives its shortest answer. */
export const TURN_TEXT = 'list files';
export const MODEL_PACE = 'the model takes 15 ms for each of 17 words';
export const TURN_END = '"stopReason":"end_turn"';

/** Of the bare server. */
export const BARE_TURN_PATH = '/turn';
