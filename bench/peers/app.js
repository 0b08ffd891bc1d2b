// What the Node servers serve: as bench_worker, /?ms=10 is answered 10 ms later. Started with
// `cluster` it is its own master: SIGUSR2 replaces the workers one by one.
'use strict'

const cluster = require('node:cluster')
const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')

const WORKERS = 4

function work() {
  const version = fs.readFileSync(process.env.BENCH_VERSION_FILE, 'utf8').trim()
  const server = http.createServer((request, response) => {
    const asked = /\?ms=(\d+)/.exec(request.url)
    setTimeout(
      () => {
        const time = (Date.now() / 1000).toFixed(3)
        response.end(`time=${time} pid=${process.pid} index=- version=${version}\n`)
      },
      asked ? Number(asked[1]) : 0
    )
  })
  const stop = () => server.close(() => process.exit(0))
  for (const signal of ['SIGUSR2', 'SIGINT', 'SIGTERM']) {
    process.on(signal, stop)
  }
  process.on('message', (message) => message === 'shutdown' && stop())
  const inherited = process.env.EINHORN_FD_0
  const where =
    inherited === undefined
      ? { host: '127.0.0.1', port: Number(process.env.BENCH_PORT) }
      : { fd: Number(inherited) }
  server.listen(where, () => {
    if (process.env.EINHORN_MASTER_PID === String(process.ppid)) {
      const master = net.connect(process.env.EINHORN_SOCK_PATH)
      master.write(`${JSON.stringify({ command: 'worker:ack', pid: process.pid })}\n`)
    }
    net.connect(process.env.BENCH_DONE_PATH, function () {
      this.destroy()
    })
  })
}

function replace(old) {
  const [worker, ...others] = old
  if (worker) {
    cluster.fork().once('listening', () => {
      worker.send('shutdown')
      replace(others)
    })
  }
}

if (process.argv[2] === 'cluster' && cluster.isPrimary) {
  for (let count = 0; count < WORKERS; count += 1) {
    cluster.fork()
  }
  process.on('SIGUSR2', () => replace(Object.values(cluster.workers)))
} else {
  work()
}
