// All that the shop had to write to give its chat widget signed contexts.
const chat = Chatpass.create({clientId: '{{js .ClientID}}', authHost: '{{js .Service}}', returnTo: location.origin + '/'});

const settings = {APIHostname: location.host, AppId: 'kettle-and-clay', UserLoginHandler: chat.userLoginHandler};
ASAPP('load', settings);          // an anonymous chat first
chat.attach(ASAPP, settings);     // finds the session, and tells the widget who is there

chat.on('usermismatch', () => location.reload());
document.querySelector('#sign-out').onclick = () => chat.logout();
document.querySelector('#sign-out-everywhere').onclick = async () => {
  const {endSessionUrl} = await chat.logout({scope: 'global'});
  if (endSessionUrl) location.assign(endSessionUrl);
};
