/**
 * Parses a JSON object that has distinct members at every depth and numbers that have a value. JSON.parse alone
 * lets the last of two members win, and others may believe the first.
 * @param {Uint8Array} bytes UTF-8
 * @returns {Record<string, any>}
 * @throws {SyntaxError | TypeError} if it is anything else
 */
export function parseObject(bytes) {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  if (text[0] !== '{') throw new SyntaxError('not a JSON object');
  const object = JSON.parse(text);
  checkTokens(text);
  return object;
}

/** @param {string} text which JSON.parse has accepted: only what it lets pass is looked for */
function checkTokens(text) {
  /** @type {(Set<string> | undefined)[]} */
  const open = []; // the names seen in each object around; undefined for a list
  for (const [token, name] of text.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")[ \t\r\n]*:|"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]]|-?\d[\d.eE+-]*/g)) {
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(undefined);
    else if (token === '}' || token === ']') open.pop();
    else if (name) addName(/** @type {Set<string>} */ (open.at(-1)), JSON.parse(name));
    else if (token[0] !== '"') checkNumber(token);
  }
}

/** @param {Set<string>} names @param {string} name */
function addName(names, name) {
  if (names.has(name)) throw new SyntaxError('two members of one name');
  names.add(name);
}

/** @param {string} token */
function checkNumber(token) {
  if (!Number.isFinite(Number(token))) throw new SyntaxError('a number beyond all numbers');
}

/**
 * Decodes base64url in its one spelling: no padding, no line breaks, no loose bits (RFC 7515 §2).
 * @param {string} text
 * @returns {Buffer}
 */
export function decode(text) {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.toString('base64url') !== text) throw new SyntaxError('not base64url');
  return bytes;
}
