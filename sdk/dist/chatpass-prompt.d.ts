import type { Chat } from './chatpass.js';
import type { Words } from './words.js';
export type PromptOptions = {
    /**
     * BCP 47; default: the page's language, then the browser's, if we speak it (en, de, fr, es, ja).
     */
    locale?: string;
    /**
     * The page's own texts, in place of ours.
     */
    words?: Partial<Words>;
    /**
     * Where the prompt stands. Default: at the top of the window, above the page.
     */
    container?: HTMLElement;
    /**
     * Upstream issuers to choose from, by their names in the configuration.
     */
    idps?: {
        idp: string;
        label: string;
    }[];
};
export type Prompt = {
    /**
     * Offers to sign in, for widgets that have no button of their own.
     */
    ask: () => void;
    /**
     * Removes the prompt for good.
     */
    close: () => void;
};
/**
 * Shows people what a chat needs of them, with a button that leads on. It takes no focus from anybody.
 * @param {Chat} chat
 * @param {PromptOptions} [options]
 * @returns {Prompt}
 */
export declare function attach(chat: Chat, { locale, words: own, container, idps }?: PromptOptions): Prompt;
