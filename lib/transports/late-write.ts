/** For a response that we end: the app goes on writing until it learns of that, and Node makes an `'error'` of each write after the end. */
export function ignoreLateWrite(): void {}
