# One image for every role: what an instance does is said by its environment (see README.md). Nothing is written at run time,
# and no shell is needed: it runs on a read-only file system. To pin the base to the byte, put its digest behind the tag.

FROM node:20.20.2-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY nest-cli.json tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY migrations migrations
COPY src src
RUN node scripts/build.mjs

FROM node:20.20.2-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund

FROM node:20.20.2-bookworm-slim
LABEL org.opencontainers.image.title=conference-booking org.opencontainers.image.licenses=MIT
ENV NODE_ENV=production HOST=0.0.0.0
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
# package.json says that this is ESM and where the migrations are; scripts/ is what `npm run import` and the like go through.
COPY package.json ./
COPY scripts scripts
COPY examples examples
COPY --from=build /app/dist dist
# The user `node`, by its number: Kubernetes cannot tell from a name that it is not root.
USER 1000:1000
EXPOSE 8080
STOPSIGNAL SIGTERM
# Ready: the database is there and migrated. A broker that is away makes nobody unready.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 8080}/health/ready`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/main.js"]
