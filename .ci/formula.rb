class CapsemBench < Formula
  desc "Measures what Capsem's air-gapped VMs cost, and gates releases"
  homepage "https://github.com/capsem/capsem-bench"
  version "@version@"
  license "Apache-2.0"

  on_macos do
    on_arm do
      url "https://github.com/capsem/capsem-bench/releases/download/v@version@/capsem-bench_@version@_darwin_arm64.tar.gz"
      sha256 "@darwin_arm64@"
    end
    on_intel do
      url "https://github.com/capsem/capsem-bench/releases/download/v@version@/capsem-bench_@version@_darwin_amd64.tar.gz"
      sha256 "@darwin_amd64@"
    end
  end

  on_linux do
    on_arm do
      url "https://github.com/capsem/capsem-bench/releases/download/v@version@/capsem-bench_@version@_linux_arm64.tar.gz"
      sha256 "@linux_arm64@"
    end
    on_intel do
      url "https://github.com/capsem/capsem-bench/releases/download/v@version@/capsem-bench_@version@_linux_amd64.tar.gz"
      sha256 "@linux_amd64@"
    end
  end

  def install
    # The command looks for its parts beside itself, behind the link in bin.
    libexec.install Dir["capsem-*"]
    bin.install_symlink libexec/"capsem-bench"
    man1.install Dir["man/*.1"]
    bash_completion.install "completion/capsem-bench.bash" => "capsem-bench"
    zsh_completion.install "completion/_capsem-bench"
    fish_completion.install "completion/capsem-bench.fish"
    pkgshare.install "NOTICES"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/capsem-bench --version")
  end
end
