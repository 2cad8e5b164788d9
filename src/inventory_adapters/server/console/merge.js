/** A three-way comparison of the base of an edit, the stored item and the edit. */

/**
 * A field with two versions.
 *
 * @template {string} [N=string]
 * @typedef {{name: N, theirs: unknown, yours: unknown, changedBy: "theirs"|"yours"|"both"}} Difference
 */

/**
 * Return the fields whose stored value differs from that of the edit.
 *
 * @template {string} N
 * @param {N[]} names
 * @param {{[name in N]: unknown}} base
 * @param {{[name in N]: unknown}} theirs
 * @param {Record<string, unknown>} edits The edited fields only.
 * @param {(name: N, one: unknown, other: unknown) => boolean} isSame
 * @returns {Difference<N>[]}
 */
export function differences(names, base, theirs, edits, isSame) {
  return names
    .map((name) => {
      const isMine = name in edits;
      const isTheirs = !isSame(name, base[name], theirs[name]);
      /** @type {"theirs"|"yours"|"both"} */
      const changedBy = isMine && isTheirs ? "both" : isMine ? "yours" : "theirs";
      return { name, theirs: theirs[name], yours: isMine ? edits[name] : base[name], changedBy };
    })
    .filter(({ name, theirs: stored, yours }) => !isSame(name, stored, yours));
}
