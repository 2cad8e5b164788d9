/** A three-way comparison: what an edit was made from, what is stored now, and the edit. */

/**
 * Return the fields whose value is now in question.
 *
 * @param {string[]} names
 * @param {Object} base
 * @param {Object} theirs
 * @param {Object} edits The fields that were edited, and nothing else.
 * @param {(name: string, one: unknown, other: unknown) => boolean} isSame
 * @returns {Array<{name: string, theirs: unknown, yours: unknown, changedBy: "theirs"|"yours"|"both"}>} Not those where both agree.
 */
export function differences(names, base, theirs, edits, isSame) {
  return names
    .map((name) => {
      const isMine = name in edits;
      const isTheirs = !isSame(name, base[name], theirs[name]);
      const yours = isMine ? edits[name] : base[name];
      return { name, theirs: theirs[name], yours, changedBy: isMine && isTheirs ? "both" : isMine ? "yours" : "theirs" };
    })
    .filter(({ name, theirs: stored, yours }) => !isSame(name, stored, yours));
}
