// Tells VS Code how to reach vmxlab's debug adapter: a process of `vmxlab dap`, or a port on which
// one listens. Everything else is in the adapter.

const vscode = require('vscode');

exports.activate = (context) => {
  const factory = {
    createDebugAdapterDescriptor(session) {
      const { request, port } = session.configuration;
      if (request === 'attach') return new vscode.DebugAdapterServer(port);
      const folder = session.workspaceFolder?.uri.fsPath;
      const [command, ...words] = vscode.workspace.getConfiguration('vmxlab').get('command');
      const options = folder === undefined ? {} : { cwd: folder };
      return new vscode.DebugAdapterExecutable(command, [...words, 'dap'], options);
    },
  };
  context.subscriptions.push(vscode.debug.registerDebugAdapterDescriptorFactory('vmxlab', factory));
};
