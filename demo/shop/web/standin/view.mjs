// STAND-IN of the ASAPP Chat SDK: what is seen of it. Not the vendor's software.
//
// Ids and classes of badge and frame are the vendor's. The frame runs no script of its own: this module
// fills it, which the vendor's, from another site, could not.

const BADGE = 'asapp-chat-sdk-badge';
const FRAME = 'asapp-chat-sdk-iframe';

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

/** The view of one widget; `host` is where the stand-in came from. */
export function newView(host) {
  const style = make('link', { rel: 'stylesheet', href: host + '/standin/badge.css' });
  let badge, frame, chat, model;
  return {
    mount(widget) {
      badge = make('button', { id: BADGE, className: 'asappChatSDKBadge', type: 'button' });
      badge.addEventListener('click', () => widget.call(model.isOpen ? 'hide' : 'show'));
      frame = make('iframe', { id: FRAME, className: 'asappChatSDKIFrame', title: 'Chat', src: host + '/standin/frame.html', hidden: true });
      frame.addEventListener('load', () => {
        chat = newChat(frame.contentDocument, widget);
        if (model) chat.render(model);
        if (model?.isOpen) chat.focus();
      });
      document.head.append(style);
      document.body.append(badge, frame);
    },
    unmount() {
      for (const element of [badge, frame, style]) element.remove();
      chat = model = undefined;
    },
    render(next) {
      const opened = next.isOpen && !model?.isOpen;
      const closed = !next.isOpen && model?.isOpen;
      model = next;
      frame.hidden = !next.isOpen;
      badge.ariaExpanded = String(next.isOpen);
      badge.ariaLabel = next.isOpen ? 'Close chat' : next.unread ? `Open chat, ${next.unread} new` : 'Open chat';
      badge.dataset.unread = next.unread || '';
      chat?.render(next);
      if (opened) chat?.focus();
      if (closed) badge.focus();
    },
  };
}

/** The inside of the frame. */
function newChat(frame, widget) {
  const part = id => frame.getElementById(id);
  const [log, replies, notice, busy, signIn, form, text] =
    ['log', 'replies', 'notice', 'busy', 'sign-in', 'form', 'text'].map(part);
  const pane = log.parentElement;
  let shown = [];

  const say = line => {
    if (!line.trim()) return;
    text.value = '';
    text.focus();
    widget.say(line.trim());
  };
  form.addEventListener('submit', e => {
    e.preventDefault();
    say(text.value);
  });
  text.addEventListener('input', () => widget.typed());
  signIn.querySelector('button').addEventListener('click', () => widget.signInClicked());
  part('close').addEventListener('click', () => widget.call('hide'));
  frame.addEventListener('keydown', e => e.key === 'Escape' && widget.call('hide'));

  /** Only what is new is added, so that a screen reader does not read all of it again. */
  const renderLog = messages => {
    const grown = shown.every((m, i) => m === messages[i]);
    const lines = (grown ? messages.slice(shown.length) : messages).map(newLine);
    grown ? log.append(...lines) : log.replaceChildren(...lines);
    shown = messages;
    return lines.length > 0;
  };
  const newLine = ({ from, text }) => {
    const who = { customer: 'You', bot: 'Assistant', agent: 'Robin' }[from];
    return make('li', { className: from }, make('span', { className: 'who' }, who), make('p', {}, text));
  };
  const renderReplies = lines => {
    replies.replaceChildren(...lines.map(line => make('button', { type: 'button', textContent: line, onclick: () => say(line) })));
  };

  return {
    focus: () => text.focus(),
    render(model) {
      const { scrollHeight, scrollTop, clientHeight } = pane;
      const atEnd = scrollHeight - scrollTop - clientHeight < 40;
      const last = model.messages.at(-1);
      const added = renderLog(model.messages);
      renderReplies((!model.signIn && !model.busy && last?.replies) || []);
      busy.hidden = !model.busy;
      signIn.hidden = !model.signIn;
      notice.textContent = model.notice;
      if (added || atEnd) pane.scrollTop = pane.scrollHeight;
    },
  };
}
