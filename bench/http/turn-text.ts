/** What is said to the demo model in this bench, and what of the answer shows that it is whole. */

/** Without a tool for it, the model's shortest answer. */
export const TURN_TEXT = 'list files';
export const MODEL_PACE = 'the model takes 15 ms for each of 17 words';
export const TURN_END = '"stopReason":"end_turn"';

/** Of the bare server. */
export const BARE_TURN_PATH = '/turn';
