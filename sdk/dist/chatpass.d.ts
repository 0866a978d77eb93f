export type Config = {
    /**
     * The browser client of the service's configuration.
     */
    clientId: string;
    /**
     * URL of the service (its issuer URL); a path on the page's own origin will do.
     */
    authHost: string;
    /**
     * The service that contexts are for; default: the app's first.
     */
    audience?: string;
    /**
     * What contexts may be used for, separated by blanks; default: all the app grants.
     */
    scope?: string;
    /**
     * Binds contexts to a conversation.
     */
    conversation?: string;
    /**
     * A registered page of this origin that loads this SDK: where a redirect sign-in ends.
     */
    returnTo?: string;
    /**
     * Sign in by redirect instead of popup. Default: only where popups cannot work, if returnTo is given.
     */
    redirect?: boolean;
    /**
     * Share contexts with other tabs of this origin. Default true.
     */
    shareContext?: boolean;
    /**
     * Further keys of every context object given to the widget: CustomerInfo, Segments, …
     */
    context?: Record<string, any>;
};
export type SignInOptions = {
    /**
     * Name of the upstream issuer. Default: the app's; if it has several, the person chooses.
     */
    idp?: string;
    /**
     * `switch`: somebody else signs in.
     */
    purpose?: string;
    prompt?: string;
    /**
     * Seconds.
     */
    maxAge?: number;
    acrValues?: string;
    loginHint?: string;
    uiLocales?: string;
    /**
     * By redirect or by popup, whatever the configuration says.
     */
    redirect?: boolean;
};
export type StepUpOptions = {
    /**
     * Levels one of which will do, separated by blanks.
     */
    acrValues?: string;
    /**
     * Seconds since the person proved who they are, at most.
     */
    maxAge?: number;
};
export type State = 'INIT' | 'CHECKING' | 'ANON' | 'READY' | 'RENEWING' | 'STALE' | 'BACKOFF' | 'OFFLINE' | 'LOGIN_NEEDED' | 'LOGIN_PENDING' | 'POPUP_BLOCKED' | 'STEP_UP_NEEDED' | 'STEP_UP_PENDING' | 'MISMATCH' | 'SIGNED_OUT' | 'FATAL';
export type Events = {
    /**
     * The state changed.
     */
    state: {
        state: State;
        from: State;
        reason?: string;
    };
    /**
     * A sign-in ended: with a customer, or with an error
     * (`access_denied`: cancelled; `window_closed`: may still succeed).
     */
    login: {
        customerId: string | null;
        error?: string;
    };
    /**
     * The person was signed out, here or elsewhere; the widget has forgotten them.
     */
    logout: {
        reason?: string;
    };
    /**
     * The browser's session belongs to another person than the one the widget showed.
     */
    usermismatch: {};
    /**
     * `unreachable`, `rejected_loop` (the chat side refuses every context) or `cookies_blocked`.
     */
    degraded: {
        reason: string;
    };
    /**
     * The session ends in so many seconds, at most 300.
     */
    expiring: {
        expiresIn: number;
    };
    /**
     *   The service refused for good: a fault of the configuration, or this person is not admitted.
     */
    error: {
        error: string;
        code?: string;
        reason?: string;
        description?: string;
        requestId?: string;
    };
};
export type Asapp = (command: string, ...args: any[]) => void;
export type Chat = {
    /**
     * Who is signed in, once that is known; null: nobody, or the
     * service did not answer. A hidden tab finds out when it is seen.
     */
    ready: Promise<{
        customerId: string;
    } | null>;
    state: State;
    /**
     *   ASAPP's ContextProvider. Calls back exactly once: at once with a usable context, else within 8 s; without
     *   `Auth` when nobody is signed in.
     */
    contextProvider: (callback: (context: Record<string, any>) => void, needsRefresh?: boolean) => void;
    /**
     * ASAPP's UserLoginHandler: signs in. Call it from a click.
     */
    userLoginHandler: (data?: any) => void;
    /**
     * Keeps the widget's customer up to date.
     * `settings` is what the page gave to `ASAPP('load', …)`, to begin an anonymous chat after a sign-out.
     */
    attach: (asapp: Asapp, settings?: Record<string, any>) => void;
    /**
     * For widgets that pull. `force`: the last one was refused.
     */
    getToken: (options?: {
        force?: boolean;
    }) => Promise<string | null>;
    /**
     *   For widgets that are pushed: called with every new context, null when there is none any more. Returns how to stop it.
     */
    onToken: (fn: (token: string | null, info: {
        customerId: string;
        expiresIn: number;
        renewIn: number;
    } | null) => void) => () => void;
    /**
     * Signs in; call it from a click. `POPUP_BLOCKED`: offer another click.
     */
    login: (options?: SignInOptions) => State;
    /**
     * Resolves when contexts are of that level; they are for a
     * while. In state `STEP_UP_NEEDED` the person has to sign in again: call login() from a click. Rejects when
     * nothing comes of it (`step_up_unmet`, `access_denied`, `window_closed`, …); contexts go on as before.
     */
    stepUp: (options?: StepUpOptions) => Promise<void>;
    /**
     *   For a site that signs people in itself: `give` returns its ID token, or nothing if nobody is signed in there.
     *   No window of ours opens then: `onLoginNeeded` tells the site to sign the person in, and login() asks for its token again.
     */
    setSiteTokenProvider: (give: (ask: {
        fresh: boolean;
    }) => string | null | undefined | Promise<string | null | undefined>, options?: {
        onLoginNeeded?: () => void;
    }) => void;
    /**
     * Signs out, here
     * and in all tabs. Going to endSessionUrl signs out at the upstream issuer as well.
     */
    logout: (options?: {
        scope?: 'local' | 'global';
    }) => Promise<{
        endSessionUrl: string | null;
    }>;
    /**
     * After `usermismatch`: go on as whoever is signed in.
     */
    acceptCustomer: () => void;
    /**
     * Returns how to stop it.
     */
    on: <K extends keyof Events>(event: K, fn: (data: Events[K]) => void) => () => void;
};
/**
 * Makes the one object that a page needs. It asks nothing of the service before attach, ready, onToken,
 * getToken or the widget does.
 * @param {Config} cfg
 * @returns {Chat}
 */
export declare function create(cfg: Config): Chat;
