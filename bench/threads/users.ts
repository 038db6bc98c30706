/** The server's users; each one's token is its name. */
export const PEOPLE = 'people';
/** A new user each time: limits count what a user did before. */
export const BAD = Array.from({ length: 50 }, (_, index) => `bad-${index}`);
