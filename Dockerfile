# docker build -t multicsr .
# docker run --rm -p 127.0.0.1:8501:8501 -v multicsr:/workspace multicsr
# With CUDA: docker build -t multicsr --build-arg BASE=nvidia/cuda:13.0.1-devel-ubuntu24.04 --build-arg CUDA=1 .
# and docker run --gpus all ...
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
ARG CUDA
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential ca-certificates python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/multicsr
COPY . .
RUN make install CUDA="${CUDA}"

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 multicsr \
    && install -d -m 700 -o multicsr /workspace
COPY --from=build /opt/multicsr /opt/multicsr
ENV PATH=/opt/multicsr/.venv/bin:${PATH}
USER 10001
WORKDIR /home/multicsr
VOLUME /workspace
EXPOSE 8501
ENTRYPOINT ["multicsr"]
CMD ["serve", "--workspace", "/workspace", "--address", "0.0.0.0"]
