// The package inside real processes, under a master that the test plays.
//
// Run against the package in the folder that EINHORN_TEST_PROJECT names, where
// `import 'einhorn-worker'` finds it:
//
//     packaging/kit node && EINHORN_TEST_PROJECT=target/kit/node node --test sdk-node/test/

import assert from 'node:assert/strict'
import { spawn, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'

const project = resolve(process.env.EINHORN_TEST_PROJECT ?? '.')
const installed = join(project, 'node_modules/einhorn-worker')

function temporaryFolder(t) {
  const folder = mkdtempSync(join(tmpdir(), 'einhorn-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

/** A program whose parent, and so whose master, is this test; `next()` is its next line. */
function worker(t, program, { fds = [], ...environment } = {}) {
  const descriptors = Object.fromEntries(fds.map((_, n) => [`EINHORN_FD_${n}`, String(n + 3)]))
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: project,
    stdio: ['pipe', 'pipe', 'pipe', ...fds],
    env: {
      ...process.env,
      EINHORN_MASTER_PID: String(process.pid),
      EINHORN_FD_COUNT: String(fds.length),
      ...descriptors,
      ...environment
    }
  })
  t.after(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  let complaints = ''
  child.stderr.on('data', (text) => {
    complaints += text
  })
  const closed = once(child, 'close')
  child.next = async () => {
    const { value } = await lines.next()
    if (value !== undefined) return value
    const [status, signal] = await closed
    return `exit ${status ?? signal}${complaints && ': '}${complaints}`
  }
  return child
}

async function listening(t, address) {
  const server = createServer()
  server.listen(address)
  await once(server, 'listening')
  t.after(() => server.close())
  return server
}

async function masterSocket(t) {
  const path = join(temporaryFolder(t), 'einhorn.sock')
  return { path, server: await listening(t, { path }) }
}

async function received(server) {
  const [connection] = await once(server, 'connection')
  connection.setEncoding('utf8')
  const [line] = await once(connection, 'data')
  return { connection, line }
}

async function whole(connection) {
  let text = ''
  for await (const piece of connection) text += piece
  return text
}

test('a server listens on a duplicate, and its end leaves the socket to the others', async (t) => {
  const path = join(temporaryFolder(t), 's')
  const addresses = [{ port: 0, host: '127.0.0.1' }, { port: 0, host: '::1' }, { path }]
  for (const address of addresses) {
    const server = await listening(t, address)
    // The test's own server shares the socket and may win the race for a connection.
    server.on('connection', (connection) => connection.destroy())
    const child = worker(
      t,
      `
      import { listen, socketFd, socketCount } from 'einhorn-worker'
      import { createServer } from 'node:net'
      import { once } from 'node:events'
      for (const round of [1, 2]) {
        const server = createServer((c) => c.end('round ' + round))
        if (await listen(server, 0) !== server) throw new Error('not the server')
        console.log('listening', socketCount(), socketFd() === 3)
        await once(server, 'connection')
        server.close()
        await once(server, 'close')
      }
    `,
      { fds: [server._handle.fd] }
    )
    for (const round of [1, 2]) {
      assert.equal(await child.next(), 'listening 1 true')
      let text
      do {
        const connection = createConnection(
          server.address().port
            ? { port: server.address().port, host: server.address().address }
            : { path }
        )
        text = await whole(connection).catch(() => '')
      } while (text === '')
      assert.equal(text, `round ${round}`)
    }
    assert.equal(await child.next(), 'exit 0')
    if (address.path) assert.ok(existsSync(path), 'the file of the socket is left alone')
  }
})

test('what is wrong is named, with a code', async (t) => {
  const program = `
    import { listen, socketFd, ack } from 'einhorn-worker'
    import { createServer } from 'node:net'
    try { socketFd() } catch (error) { console.log(error.code, error.message) }
    await listen(createServer()).catch((error) => console.log(error.code))
    await ack().catch((error) => console.log(error instanceof Error, error.code, error.message))
  `
  const malformed = worker(t, program, { EINHORN_FD_COUNT: 'abc', EINHORN_SOCK_PATH: '/none/s' })
  assert.equal(
    await malformed.next(),
    'EINHORN_ENVIRONMENT EINHORN_FD_COUNT is "abc", but must be a number of sockets'
  )
  assert.equal(await malformed.next(), 'EINHORN_ENVIRONMENT')
  assert.equal(
    await malformed.next(),
    'true EINHORN_UNREACHABLE cannot reach the master at ' +
      '"/none/s" (from EINHORN_SOCK_PATH): No such file or directory (os error 2)'
  )
  assert.equal(await malformed.next(), 'exit 0')
  const closed = worker(t, program, { EINHORN_FD_COUNT: '1', EINHORN_FD_0: '900' })
  assert.equal(
    await closed.next(),
    'EINHORN_BAD_DESCRIPTOR EINHORN_FD_0 is 900, but descriptor ' + '900 is not open'
  )
})

test('arguments of a wrong type are refused', async (t) => {
  const child = worker(
    t,
    `
    import * as worker from 'einhorn-worker'
    const attempts = [
      () => worker.socketFd('0'), () => worker.socketFd(-1), () => worker.socketFd(2 ** 32),
      () => worker.listen({}), () => worker.ping(7), () => worker.onGracefulShutdown()
    ]
    for (const attempt of attempts) {
      try { await attempt() } catch (error) { console.log(error.code ?? error.name, error.message) }
    }
  `
  )
  for (const line of [
    'TypeError n must be an integer, not 0',
    'EINHORN_NO_SUCH_SOCKET there is no socket -1: indexes count from 0',
    'EINHORN_NO_SUCH_SOCKET there is no socket 4294967296: indexes count from 0',
    'TypeError server must have a method listen',
    'TypeError requestId must be a string, not number',
    'TypeError callback must be a function, not undefined'
  ])
    assert.equal(await child.next(), line)
})

test('a server that cannot listen gives its duplicate back', async (t) => {
  const server = await listening(t, { port: 0, host: '127.0.0.1' })
  const child = worker(
    t,
    `
    import { listen } from 'einhorn-worker'
    import { createServer } from 'node:net'
    import { readdirSync } from 'node:fs'
    const server = await listen(createServer())
    const before = readdirSync('/proc/self/fd').length
    await listen(server).catch((error) => console.log(error.code))
    console.log(readdirSync('/proc/self/fd').length - before)
    server.close()
  `,
    { fds: [server._handle.fd] }
  )
  assert.equal(await child.next(), 'ERR_SERVER_ALREADY_LISTEN')
  assert.equal(await child.next(), '0')
  assert.equal(await child.next(), 'exit 0')
})

test('ack resolves when the master has taken it, and the loop runs meanwhile', async (t) => {
  const { path, server } = await masterSocket(t)
  const child = worker(
    t,
    `
    import { ack, ping } from 'einhorn-worker'
    process.stdin.once('data', (text) => { console.log('alive', String(text)); process.stdin.unref() })
    await ack()
    console.log('taken')
    await ping('50% of é')
    console.log('pinged')
  `,
    { EINHORN_SOCK_PATH: path }
  )
  const { connection, line } = await received(server)
  assert.equal(line, `{"command": "worker:ack", "pid": ${child.pid}}\n`)
  child.stdin.write('still')
  assert.equal(await child.next(), 'alive still')
  connection.end()
  assert.equal(await child.next(), 'taken')
  const sign = await received(server)
  assert.match(sign.line, /"request_id": "50\\u0025 of \\u00e9"}\n$/)
  sign.connection.end()
  assert.equal(await child.next(), 'pinged')
  assert.equal(await child.next(), 'exit 0')
})

test('callbacks are called once each, late ones too, and one that throws fails alone', async (t) => {
  const child = worker(
    t,
    `
    import { onGracefulShutdown } from 'einhorn-worker'
    process.on('uncaughtException', (error) => console.log('uncaught', error.message))
    onGracefulShutdown(() => { throw new Error('alone') })
    onGracefulShutdown(() => console.log('second'))
    console.log('registered')
    process.stdin.once('data', () => {
      onGracefulShutdown(() => console.log('late'))
      process.stdin.destroy()
    })
  `
  )
  assert.equal(await child.next(), 'registered')
  child.kill('SIGUSR2')
  assert.equal(await child.next(), 'uncaught alone')
  assert.equal(await child.next(), 'second')
  child.kill('SIGUSR2')
  child.stdin.write('go on')
  assert.equal(await child.next(), 'late')
  assert.equal(await child.next(), 'exit 0')
})

test('registering does not keep a process alive', async (t) => {
  const child = worker(
    t,
    `
    import { onGracefulShutdown } from 'einhorn-worker'
    onGracefulShutdown(() => {})
  `
  )
  assert.equal(await child.next(), 'exit 0')
})

test('CommonJS and ES modules give the same functions, and the types name them all', async () => {
  const names = execFileSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `
    import worker, * as names from 'einhorn-worker'
    import { createRequire } from 'node:module'
    const required = createRequire(process.cwd() + '/x.js')('einhorn-worker')
    for (const name of Object.keys(required)) {
      if (worker[name] !== required[name] || names[name] !== required[name]) throw name
    }
    console.log(Object.keys(required).join(' '))
  `
    ],
    { cwd: project, encoding: 'utf8' }
  )
    .trim()
    .split(' ')
  const types = readFileSync(join(installed, 'index.d.ts'), 'utf8')
  const declared = [...types.matchAll(/^export function (\w+)/gm)].map((match) => match[1])
  assert.deepEqual(declared.sort(), names.sort())
})

test('without the compiled part a program still runs', (t) => {
  const folder = temporaryFolder(t)
  cpSync(installed, join(folder, 'node_modules/einhorn-worker'), {
    recursive: true,
    filter: (file) => !file.endsWith('.node')
  })
  const out = execFileSync(
    process.execPath,
    [
      '-e',
      `
    const worker = require('einhorn-worker')
    worker.onGracefulShutdown(() => {})
    console.log(worker.isWorker(), worker.childIndex(), worker.socketCount())
    worker.ack().catch((error) => console.log(error.code, error.message))
  `
    ],
    { cwd: folder, encoding: 'utf8' }
  ).split('\n')
  assert.equal(out[0], 'false null 0')
  assert.match(
    out[1],
    /^EINHORN_NOT_WORKER not a worker: the compiled part .*cannot be loaded here/
  )
})

test('requiring it costs little', () => {
  const program = `
    const start = process.cpuUsage()
    require('einhorn-worker')
    const { user, system } = process.cpuUsage(start)
    console.log((user + system) / 1000)
  `
  const run = () => Number(execFileSync(process.execPath, ['-e', program], { cwd: project }))
  // The least of several runs: what the package costs, not what else the machine does.
  const cost = Math.min(...Array.from({ length: 7 }, run))
  assert.ok(cost < 20, `${cost} ms`)
  console.log(`require('einhorn-worker'): ${cost.toFixed(1)} ms`)
})
