'use strict'

// The conformance suite's worker; ../README.md tells what its words mean.

const { once } = require('node:events')
const fs = require('node:fs')
const net = require('node:net')
const worker = require('einhorn-worker')

const say = (text) => fs.writeSync(1, `${process.pid} ${text}\n`)

let ask
const asked = new Promise((resolve) => {
  ask = resolve
})

async function attempt(word, call) {
  try {
    const value = await call()
    say(`${word} ${value ?? 'ok'}`)
  } catch (error) {
    if (!String(error.code).startsWith('EINHORN_')) throw error
    say(`${word} error ${error.message}`)
  }
}

async function where(n) {
  const close = async (server) => {
    server.close()
    await once(server, 'close')
  }
  await close(await worker.listen(net.createServer(), n))
  const server = await worker.listen(net.createServer(), n)
  const address = server.address()
  await close(server)
  if (address === null || typeof address === 'string') return 'unix'
  return `${address.family === 'IPv6' ? 'inet6' : 'inet'} ${address.port}`
}

async function answer(connection) {
  let text = ''
  let begun = false
  const pieces = connection.setEncoding('utf8').iterator({ destroyOnReturn: false })
  for await (const piece of pieces) {
    text += piece
    if (text === 'slow\n' && !begun) {
      begun = true
      connection.write('begun\n')
    }
    if (text.split('\n').length > (text.startsWith('slow\n') ? 2 : 1)) break
  }
  connection.end(`${process.pid}\n`, () => connection.destroy())
}

async function serve() {
  const server = net.createServer((connection) => {
    answer(connection).catch(() => {})
  })
  await worker.listen(server, 0)
  await asked
  server.close()
  await once(server, 'close')
  say('serve ended')
}

const words = {
  facts: () =>
    say(
      `facts worker=${worker.isWorker() ? 'yes' : 'no'} ` +
        `index=${worker.childIndex() ?? 'none'} sockets=${worker.socketCount()}`
    ),
  fd: (word, n) => attempt(word, () => `ok ${worker.socketFd(Number(n))}`),
  listener: (word, n) => attempt(word, () => where(Number(n))),
  stop: () => {
    worker.onGracefulShutdown(ask)
    say('stop registered')
  },
  ack: () => attempt('ack', worker.ack),
  'ack-fd': () => attempt('ack', worker.ack),
  ping: (word, id) => attempt('ping', () => worker.ping(id)),
  read: async () => {
    const [line] = await once(process.stdin.setEncoding('utf8'), 'data')
    process.stdin.pause()
    say(`read ${line.trimEnd()}`)
  },
  serve,
  wait: async () => {
    const alive = setInterval(() => {}, 1 << 30)
    await asked
    clearInterval(alive)
    say('wait ended')
  },
  idle: async () => {
    say('idle')
    setInterval(() => {}, 1 << 30)
    await new Promise(() => {})
  }
}

async function main() {
  for (const word of process.argv.slice(2)) {
    const colon = word.indexOf(':')
    const name = colon < 0 ? word : word.slice(0, colon)
    if (!words[name]) throw new Error(`no such word: ${word}`)
    await words[name](word, word.slice(colon + 1))
  }
}

main()
