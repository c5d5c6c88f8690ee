/** Variables of linked containers, as Docker writes them. */
import t from 'tap';
import { linkEnvironment } from '../src/containers/link-environment.ts';

const linked = { alias: 'my-db', address: '172.17.0.2', environment: [], exposedPorts: [] };

t.test('without ports, and with what it has itself', async (t) => {
  t.strictSame(linkEnvironment('web', linked), ['MY_DB_NAME=/web/my-db']);
  const environment = ['PATH=/bin', 'HOME=/root', 'A=1=2', 'EMPTY=', 'NONE'];
  t.strictSame(linkEnvironment('web', { ...linked, environment }), [
    ...['MY_DB_NAME=/web/my-db', 'MY_DB_ENV_A=1=2', 'MY_DB_ENV_EMPTY='],
  ]);
});

t.test('the lowest port is the default one, TCP before UDP', async (t) => {
  t.strictSame(linkEnvironment('web', { ...linked, exposedPorts: ['5432/tcp', '53/udp', '53/tcp'] }), [
    'MY_DB_PORT=tcp://172.17.0.2:53',
    ...['MY_DB_PORT_53_TCP=tcp://172.17.0.2:53', 'MY_DB_PORT_53_TCP_ADDR=172.17.0.2'],
    ...['MY_DB_PORT_53_TCP_PORT=53', 'MY_DB_PORT_53_TCP_PROTO=tcp'],
    ...['MY_DB_PORT_53_UDP=udp://172.17.0.2:53', 'MY_DB_PORT_53_UDP_ADDR=172.17.0.2'],
    ...['MY_DB_PORT_53_UDP_PORT=53', 'MY_DB_PORT_53_UDP_PROTO=udp'],
    ...['MY_DB_PORT_5432_TCP=tcp://172.17.0.2:5432', 'MY_DB_PORT_5432_TCP_ADDR=172.17.0.2'],
    ...['MY_DB_PORT_5432_TCP_PORT=5432', 'MY_DB_PORT_5432_TCP_PROTO=tcp'],
    'MY_DB_NAME=/web/my-db',
  ]);
});

t.test('three ports or more that follow each other have a start and an end', async (t) => {
  const ends = (...exposedPorts: string[]) =>
    linkEnvironment('web', { ...linked, exposedPorts }).filter((entry) => /_(START|END)=/.test(entry));
  t.strictSame(ends('8000/tcp', '8001/tcp'), []);
  t.strictSame(ends('8000-8002/tcp', '9000/tcp'), [
    ...['MY_DB_PORT_8000_TCP_START=tcp://172.17.0.2:8000', 'MY_DB_PORT_8000_TCP_PORT_START=8000'],
    ...['MY_DB_PORT_8002_TCP_END=tcp://172.17.0.2:8002', 'MY_DB_PORT_8002_TCP_PORT_END=8002'],
  ]);
});
