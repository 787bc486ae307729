// Run by node, with NODE_PATH where Debian keeps its packages.
const fs = require('fs');
const nodemailer = require('nodemailer');

const [host, port, tls, mechanism, caFile, user, pass, from, to, message] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host,
  port: Number(port),
  secure: tls === 'implicit',
  requireTLS: true,
  authMethod: mechanism,
  auth: {user, pass},
  tls: {ca: fs.readFileSync(caFile)},
  name: 'client.test',
  connectionTimeout: 20000,
  socketTimeout: 20000,
});
transport
    .sendMail({envelope: {from, to: [to], use8BitMime: true}, raw: fs.readFileSync(message)})
    .then((info) => {
      if (info.accepted.length !== 1) throw new Error(info.response);
      transport.close();
    })
    .catch((error) => {
      console.error(error.message);
      process.exit(1);
    });
