# One image, several commands: docker run IMAGE standalone --config /config
FROM node:26-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The image brings its own Node, so the locked one is left out, and so is everything that only development needs.
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:26-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY bin ./bin
COPY model ./model
COPY policies ./policies
COPY controller ./controller
COPY dataplane ./dataplane
COPY demo ./demo
COPY examples ./examples
USER 65532:65532
EXPOSE 8080 8443 9901
ENTRYPOINT ["node", "bin/atrium.ts"]
CMD ["help"]
