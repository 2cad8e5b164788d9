/** CSV as spreadsheets write it, read as it streams by: any of three delimiters, quoted line breaks, UTF-8 or Windows-1252. */

const DELIMITERS = [",", ";", "\t"];

// What spreadsheets take for a formula; an export puts an apostrophe before it, which is taken off again.
const GUARDED = /^'(?:[\t\r\n']|\s*[=+\-@＝＋－＠])/;

/** A file that cannot be read as CSV from some line on. */
export class CsvError extends Error {}

/**
 * Yield the records of a file, header first: `{line, cells, bytes}`; *bytes*: how much of the file was read so far.
 *
 * @param {Blob} file
 */
export async function* csvRecords(file) {
  const decoder = new TextDecoder(await encodingOf(file));
  const reader = file.stream().getReader();
  let parser;
  let start = "";
  let bytes = 0;
  for (let isOver = false; !isOver; ) {
    const { done, value } = await reader.read();
    isOver = done;
    bytes += value?.length ?? 0;
    let text = done ? decoder.decode() : decoder.decode(value, { stream: true });
    if (!parser) {
      // Blank lines before the header are none of ours; the first one with content tells the delimiter.
      start += text;
      const header = /^\s*?([^\s][^\n]*)\n/.exec(isOver ? `${start}\n` : start);
      if (!header) continue;
      parser = new CsvParser(delimiterOf(header[1]));
      text = start;
    }
    for (const record of parser.push(text)) yield { ...record, bytes };
  }
  for (const record of parser?.end() ?? []) yield { ...record, bytes };
}

/** All of the file is looked at first: no row may be stored in letters that a later one proves wrong. */
async function encodingOf(file) {
  const mark = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  if (mark[0] === 0xff && mark[1] === 0xfe) return "utf-16le";
  if (mark[0] === 0xfe && mark[1] === 0xff) return "utf-16be";
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = file.stream().getReader();
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      decoder.decode(chunk.value, { stream: true });
    }
    decoder.decode();
    return "utf-8";
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    await reader.cancel();
    return "windows-1252";
  }
}

function delimiterOf(header) {
  const unquoted = header.replace(/"[^"]*"/g, "");
  const count = (it) => unquoted.split(it).length;
  return DELIMITERS.reduce((best, it) => (count(it) > count(best) ? it : best));
}

/** Takes text piece by piece (RFC 4180, and bare carriage returns too), and gives records as soon as they are whole. */
export class CsvParser {
  #delimiter;
  #cells = [];
  #cell = "";
  #state = "start"; // of a cell; then "plain", "quoted", or "closed" after a closing quote
  #line = 1;
  #firstLine = 1;
  #afterReturn = false;

  constructor(delimiter) {
    this.#delimiter = delimiter;
  }

  /** Yield `{line, cells}` for every record that *text* completes; records without any text are left out. */
  *push(text) {
    for (const character of text) {
      const isSecondOfPair = this.#afterReturn && character === "\n";
      this.#afterReturn = character === "\r";
      if (isSecondOfPair && this.#state !== "quoted") continue;
      const isBreak = character === "\n" || character === "\r";
      if (isBreak && !isSecondOfPair) this.#line += 1;
      if (this.#state === "quoted") {
        if (character === '"') this.#state = "closed";
        else this.#cell += character;
      } else if (isBreak) {
        yield* this.#record();
      } else if (character === this.#delimiter) {
        this.#endCell();
      } else if (character === '"' && this.#state === "start") {
        this.#state = "quoted";
      } else if (character === '"' && this.#state === "closed") {
        this.#cell += character;
        this.#state = "quoted";
      } else if (this.#state === "closed") {
        throw new CsvError(`Line ${this.#line}: after a closing quote there is more text in the cell.`);
      } else {
        this.#cell += character;
        this.#state = "plain";
      }
    }
  }

  /** Yield the record that no line break followed. */
  *end() {
    if (this.#state === "quoted") {
      throw new CsvError(`Line ${this.#firstLine}: a quote is opened there and never closed. Was the file cut off?`);
    }
    if (this.#cells.length || this.#state !== "start") yield* this.#record();
  }

  #endCell() {
    this.#cells.push(this.#cell);
    this.#cell = "";
    this.#state = "start";
  }

  *#record() {
    this.#endCell();
    const record = { line: this.#firstLine, cells: this.#cells };
    this.#cells = [];
    this.#firstLine = this.#line;
    if (record.cells.some((cell) => cell.trim() !== "")) yield record;
  }
}

/** Return the text that an export made a harmless cell of. */
export function unguarded(cell) {
  return GUARDED.test(cell) ? cell.slice(1) : cell;
}
