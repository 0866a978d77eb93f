// STAND-IN of the ASAPP Chat SDK. Not the vendor's software.

const PREFIX = 'asapp-standin:';
const KEYS = ['session', 'open'];

/**
 * A few strings that outlive the page where the browser lets them; else they live as long as the page. A
 * widget in a third party's frame cannot rely on more.
 */
export function newStore(area) {
  const memory = new Map();
  const attempt = use => {
    try {
      return use(area);
    } catch {
      return undefined;
    }
  };
  return {
    get(key) {
      const kept = attempt(a => a.getItem(PREFIX + key));
      return (kept === undefined ? memory.get(key) : kept) ?? '';
    },
    set(key, value) {
      memory.set(key, value);
      attempt(a => a.setItem(PREFIX + key, value));
    },
    clear() {
      for (const key of KEYS) attempt(a => a.removeItem(PREFIX + key));
      memory.clear();
    },
  };
}
