# A worker for `bgblur batch --scheduler`:
#   docker build -t bgblur-worker .
#   docker run bgblur-worker tcp://HOST:8786
FROM python:3.13-slim
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
COPY . /src
# s3fs reads s3://; other stores need another package of fsspec
RUN pip install --no-cache-dir '/src[batch]' s3fs
# a worker opens the files that it is told to open, so it is not root
RUN useradd --create-home worker
USER worker
WORKDIR /home/worker
# one clip per process, and one process per core
ENV BGBLUR_THREADS=1
ENTRYPOINT ["dask", "worker", "--nworkers", "-1", "--nthreads", "1"]
