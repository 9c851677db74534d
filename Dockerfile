# One image, several commands: docker run IMAGE standalone --config /config
# The root file system is made by the script that makes the archive of `npm run image`, so both hold the same files: Node,
# the libraries it links, production packages, Atrium compiled. No shell, no npm.
FROM node:26-slim AS build
WORKDIR /source
COPY package.json package-lock.json .npmrc ./
# This stage brings its own Node, so the locked one, an optional package, is left to npm's judgement.
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build && node scripts/image.ts --root /image

FROM scratch
COPY --from=build /image/ /
ENV NODE_ENV=production PATH=/usr/local/bin NODE_OPTIONS=--max-semi-space-size=32
WORKDIR /app
USER 65532:65532
EXPOSE 8080 8443
ENTRYPOINT ["/usr/local/bin/node", "/app/bin/atrium.js"]
CMD ["help"]
