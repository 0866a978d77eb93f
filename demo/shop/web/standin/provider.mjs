// STAND-IN of the ASAPP Chat SDK. Not the vendor's software.

/** Milliseconds a ContextProvider may take; the vendor's documents name no limit. */
const SILENCE = 10_000;

const isObject = o => typeof o === 'object' && o !== null;

/** Calls a ContextProvider. The first answer counts; silence, and what is no object, is an empty one. */
export function askProvider({ timers, log }, provider, needsRefresh) {
  return new Promise(resolve => {
    let answered = false;
    const finish = context => {
      answered = true;
      timers.clear(timer);
      resolve(context);
    };
    const timer = timers.set(() => {
      log.error(`ASAPP: ContextProvider did not call back within ${SILENCE / 1000} s`);
      finish({});
    }, SILENCE);
    try {
      provider(context => {
        if (answered) return log.warn('ASAPP: ContextProvider called back again or too late: ignored');
        finish(isObject(context) ? context : {});
      }, needsRefresh);
    } catch (e) {
      log.error('ASAPP: ContextProvider threw', e);
      finish({});
    }
  });
}
