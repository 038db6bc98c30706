/** Where `fairlead chat` looks for a server when it is not told. */
export const DEFAULT_URL = 'http://127.0.0.1:3000';
