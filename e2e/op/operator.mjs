// What an operator may do to the identity provider while it runs, and what it has seen: GET /operator tells
// {refreshes, tokens, revoked}; POST /operator takes {token, disabled} as JSON.
//
//   token     what the token endpoint does: "works" (default), "cut" (the connection breaks before anything is
//             read), "down" (503), "refuses" (invalid_client); {"token": "cut", "times": 1} does so once
//   disabled  account names that may not go on
export class Operator {
  refreshes = 0; // requests with a refresh token, whatever became of them
  tokens = []; // refresh tokens that came
  revoked = 0; // grants that were given back
  #token = 'works';
  #times = Infinity;
  #disabled = [];

  isDisabled = (name) => this.#disabled.includes(name);

  // watch counts what the provider does.
  watch(provider) {
    const seen = (ctx) => {
      if (ctx.oidc.params?.grant_type !== 'refresh_token') return;
      this.refreshes++;
      this.tokens.push(ctx.oidc.params.refresh_token);
    };
    provider.on('grant.success', seen);
    provider.on('grant.error', seen);
    provider.on('grant.revoked', () => this.revoked++);
  }

  // handle answers what is not for the provider, and tells whether it was so.
  handle(req, res) {
    if (req.url === '/operator') {
      this.#obey(req, res);
      return true;
    }
    if (req.url !== '/token' || this.#token === 'works' || this.#times-- <= 0) return false;
    this.refreshes++;
    if (this.#token === 'cut') {
      req.socket.destroy();
      return true;
    }
    const [status, body] = this.#token === 'down' ? [503, 'closed'] : [401, '{"error":"invalid_client"}'];
    res.writeHead(status, { 'content-type': 'application/json' }).end(body);
    return true;
  }

  async #obey(req, res) {
    if (req.method === 'POST') {
      let text = '';
      for await (const part of req) text += part;
      const said = JSON.parse(text);
      this.#token = said.token ?? this.#token;
      this.#times = said.times ?? Infinity;
      this.#disabled = said.disabled ?? this.#disabled;
    }
    const { refreshes, tokens, revoked } = this;
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ refreshes, tokens, revoked }));
  }
}
