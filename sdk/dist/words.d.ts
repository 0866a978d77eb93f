/**
 * All that the prompt says, in one language. `{…}` is filled in.
 * @typedef {typeof english} Words
 */
export type Words = typeof english;
declare const english: {
    region: string;
    close: string;
    signIn: string;
    signInWith: string;
    again: string;
    go: string;
    window: string;
    prove: string;
    accept: string;
    another: string;
    please: string;
    blocked: string;
    pending: string;
    closed: string;
    failed: string;
    unavailable: string;
    ended: string;
    expiring: string;
    confirm: string;
    other: string;
    out: string;
    barred: string;
    denied: string;
    broken: string;
    unreachable: string;
    forgetful: string;
};
/**
 * The words of the first language that we speak; English if we speak none.
 * @param {readonly string[]} wished BCP 47 tags.
 * @param {Partial<Words>} [own] The page's own, in place of ours.
 * @returns {{language: string, words: Words}}
 */
export declare function speak(wished: readonly string[], own?: Partial<Words>): {
    language: string;
    words: Words;
};
export {};
