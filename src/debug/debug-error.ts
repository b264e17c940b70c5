// A request to the debugger that cannot be met.

/** The message is for whoever made the request; nothing has changed. */
export class DebugError extends Error {}
