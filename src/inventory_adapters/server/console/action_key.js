/** Idempotency keys of what a person does on the page. */

import { ApiError, newKey } from "./api.js";

/**
 * The Idempotency-Key of a form or a button. Each action gets a new key. After a request whose outcome is unknown, the same
 * content is resent with the same key, so a lost response or a second click does not apply it twice.
 */
export class ActionKey {
  /** @type {string|undefined} */
  #content;
  #key = "";

  /**
   * Send a request with the key for *content*. Resending is up to the person: nothing is retried here.
   *
   * @template T
   * @param {unknown} content All that the request depends on, as data that JSON can represent.
   * @param {(key: string) => Promise<T>} request
   * @returns {Promise<T>}
   */
  async send(content, request) {
    const text = JSON.stringify(content);
    if (text !== this.#content) {
      this.#content = text;
      this.#key = newKey();
    }
    try {
      const result = await request(this.#key);
      this.#content = undefined;
      return result;
    } catch (error) {
      if (error instanceof ApiError && !error.isRetryable) this.#content = undefined;
      throw error;
    }
  }
}
